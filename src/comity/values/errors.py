"""Every error comity raises on purpose.

ComityError                what to catch to catch them all
├── InvalidInput           something given cannot be used; also a ValueError
│   └── DecodeError        foreign bytes that are not what they claim to be
├── NotSupported           an experiment asks for what a part of it cannot do
├── BuildFailed            an environment for tasks cannot be made
├── RoundFailed            a round ended without enough sites
└── Refused                a network's rules do not allow it
    ├── NotFound           it names something that is not there
    ├── Unauthenticated    it does not show who asks
    ├── Forbidden          this organization or user may not
    ├── Conflict           it is there already, or stands otherwise than assumed
    └── Unavailable        not now; the same call may succeed later

A message says what was wrong, the value that was got, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class ComityError(Exception):
    """The root of all errors that comity raises on purpose."""


class InvalidInput(ComityError, ValueError):
    """Something given cannot be used; nothing was changed."""


class DecodeError(InvalidInput):
    """Foreign bytes are not what they claim to be; nothing was allocated for them."""


class NotSupported(ComityError):
    """An experiment asks for something that one of its parts declares it cannot do."""


class BuildFailed(ComityError):
    """An environment cannot be made from its locked requirements; the log of the build tells more."""


class RoundFailed(ComityError):
    """A round ended with fewer sites than the experiment's quorum."""


class Refused(ComityError):
    """The rules of a network do not allow it; nothing was changed."""


class NotFound(Refused):
    """It names something that is not there, or not to be seen."""


class Unauthenticated(Refused):
    """It does not show who asks: no password or token, or one that opens nothing."""


class Forbidden(Refused):
    """This organization or user may not do it."""


class Conflict(Refused):
    """The key is taken, or what it is about stands otherwise than the caller assumed."""


class Unavailable(Refused):
    """Not now: a part of the network is away or full. The same call may succeed later."""


def unknown(kind: str, got: str, known: Iterable[str]) -> InvalidInput:
    """An error for a misspelt name that suggests the nearest known one.

    >>> str(unknown("metric", "acuracy", ["accuracy", "auc"]))
    "there is no metric 'acuracy'; did you mean 'accuracy'? (known: accuracy, auc)"
    """
    names = sorted(known)
    close = get_close_matches(str(got), names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return InvalidInput(f"there is no {kind} {got!r}{hint} (known: {', '.join(names) or 'none'})")


def a(value: object) -> str:
    """The name of a value's type with its article.

    >>> a(1), a("text")
    ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
