"""A performance as a file: a JSON number, or {"all": number} as substratools' `save_performance` writes it.

It may be NaN where there was nothing to measure.
"""

from math import isfinite, nan
from pathlib import Path

import msgspec

from comity.values.errors import DecodeError

LONGEST = 4096

NAN = b"NaN"
"""As Python's own JSON writes it."""


class _All(msgspec.Struct, frozen=True):
    all: float


_decoder = msgspec.json.Decoder(float | _All)


def read(path: Path) -> float:
    """The number that a performance output holds; raises DecodeError when it is none, or infinite."""
    with path.open("rb") as file:
        return decode(file.read(LONGEST + 1))


def decode(text: bytes) -> float:
    """The number in the text of a performance file.

    >>> decode(b'{"all": 0.75}'), decode(b"3"), decode(b"NaN")
    (0.75, 3.0, nan)
    """
    if len(text) > LONGEST:
        raise DecodeError(f"a performance has more than {LONGEST} bytes; write one JSON number")
    if text.strip() == NAN:
        return nan
    try:
        got = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError(f"{text[:40]!r} is no performance ({error}); write a JSON number") from error
    value = got.all if isinstance(got, _All) else got
    if not isfinite(value):
        raise DecodeError(f"the performance {text[:40]!r} is not finite; write a number that is")
    return value
