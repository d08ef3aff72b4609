"""Locked requirements: which distributions, each at one version, an environment consists of.

One line of text for each: `name[extras]==version ; marker --hash=sha256:...`, in which extras, marker and hashes
may be left out. Nothing else is taken: no address, no file, no option of an installer, no other comparison.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from comity.values.errors import DecodeError

MOST = 1000
"""Requirements of one lock."""

LONGEST = 8192
"""Characters of a line: room for a hundred hashes."""

SELF = "comity"
"""Every environment has the node's own comity; the lock only says which version it must be."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_LINE = re.compile(
    rf"(?P<name>{_NAME})(?:\[(?P<extras>{_NAME}(?:,{_NAME})*)\])?==(?P<version>[A-Za-z0-9.!+_-]{{1,100}})"
    r"(?: ?; ?(?P<marker>[A-Za-z0-9_.'\"<>=!~() ,+*-]{1,500}?))?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})*)"
)


@final
@dataclass(frozen=True, slots=True, order=True)
class Locked:
    """One distribution at one version, in canonical spelling."""

    name: str
    version: str
    extras: tuple[str, ...] = ()
    marker: str = ""
    hashes: tuple[str, ...] = ()
    """Hexadecimal SHA-256 of the files that will do; any file when there are none."""

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{extras}=={self.version}{marker}{''.join(f' --hash=sha256:{each}' for each in self.hashes)}"

    def applies(self) -> bool:
        """Whether its marker holds for this interpreter on this machine."""
        return not self.marker or Marker(self.marker).evaluate()

    def met_by(self, version: str) -> bool:
        """Whether that version will do: a local part, as in 2.13.0+cpu, counts only where the lock names one."""
        return Requirement(f"{self.name}=={self.version}").specifier.contains(version, prereleases=True)


def decode(lines: Sequence[str]) -> tuple[Locked, ...]:
    """The requirements that the lines lock, in the one order and spelling that they have.

    Raises DecodeError, with the line, at anything else than the form above; when a name is locked twice under the
    same marker; and when only some have hashes, since an installer that checks hashes checks all.

    >>> [str(each) for each in decode(["Torch==2.13", "numpy == 2.4.6"])]
    Traceback (most recent call last):
    comity.values.errors.DecodeError: 'numpy == 2.4.6' is no locked requirement; write name==version
    >>> [str(each) for each in decode(["Torch==2.13", "numpy==2.4.6;python_version>'3'"])]
    ['numpy==2.4.6 ; python_version > "3"', 'torch==2.13']
    """
    if len(lines) > MOST:
        raise DecodeError(f"there are {len(lines)} locked requirements, more than {MOST}")
    found = tuple(sorted(_locked(line) for line in lines))
    counts = Counter((each.name, each.marker) for each in found)
    double = next((name for (name, _), count in counts.items() if count > 1), None)
    if double is not None:
        raise DecodeError(f"{double} is locked twice; name one version")
    others = [each for each in found if each.name != SELF]
    bare = next((each for each in others if not each.hashes), None)
    if bare is not None and any(each.hashes for each in others):
        raise DecodeError(f"{bare} has no hash while others have; give every requirement its hashes, or none")
    return found


def _locked(line: str) -> Locked:
    form = f"{line[:200]!r} is no locked requirement; write name==version"
    match = _LINE.fullmatch(line) if len(line) <= LONGEST else None
    if match is None:
        raise DecodeError(form)
    try:
        marker = str(Marker(match["marker"])) if match["marker"] else ""
        if marker:
            Marker(marker).evaluate()
        version = str(Version(match["version"]))
    except (ValueError, KeyError, RecursionError, OverflowError) as error:  # a marker may not be evaluable
        raise DecodeError(f"{form}: {error}") from error
    return Locked(
        canonicalize_name(match["name"]),
        version,
        tuple(sorted({canonicalize_name(each) for each in (match["extras"] or "").split(",") if each})),
        marker,
        tuple(sorted(set(re.findall("[0-9a-f]{64}", match["hashes"])))),
    )
