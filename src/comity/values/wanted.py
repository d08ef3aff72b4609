"""Requirements that are not locked: what a Substra function asks pip for, and whatever version serves will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from comity.values.digest import Digest

Minor = tuple[int, int]
"""Of a Python: (3, 11)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that comes with the function."""

    name: str
    """Of the file, which says what it is."""
    digest: Digest
    path: Path = field(compare=False)
    """Where it lies now."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """What is installed by one command."""

    requirements: tuple[str, ...] = ()
    """As PEP 508 has them, hashes behind them, in the order given."""
    constraints: tuple[str, ...] = ()
    """Versions of what may be installed, but need not be."""
    wheels: tuple[Wheel, ...] = ()
    index: str = ""
    """Address of the index; the node's own unless given."""
    more: tuple[str, ...] = ()
    """Addresses of indexes beside it."""

    @property
    def empty(self) -> bool:
        """Whether nothing is installed."""
        return not self.requirements and not self.wheels


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an environment is to have, one installation after the other."""

    python: Minor
    installs: tuple[Install, ...] = ()

    def locked(self, lines: Sequence[str]) -> Wanted:
        """The same with these versions, each as `name==version`, but where an installation itself wants another.

        >>> wanted = Wanted(python=(3, 11), installs=(Install(requirements=("torch>=2", "numpy==1.26")),))
        >>> wanted.locked(["numpy==2.4.6", "torch==2.13.0"]).installs[0].constraints
        ('torch==2.13.0',)
        """
        return replace(self, installs=tuple(_constrained(each, lines) for each in self.installs))


def _constrained(install: Install, lines: Sequence[str]) -> Install:
    wanted = [Requirement(line.partition(" --hash")[0]) for line in install.requirements]
    limits = [Requirement(line) for line in lines]
    fitting = [limit for limit in limits if not any(_contradicts(each, limit) for each in wanted)]
    return replace(install, constraints=tuple(dict.fromkeys((*install.constraints, *map(str, fitting)))))


def _contradicts(wanted: Requirement, limit: Requirement) -> bool:
    version = str(limit.specifier).removeprefix("==")
    same = canonicalize_name(wanted.name) == canonicalize_name(limit.name)
    return same and not wanted.specifier.contains(version, prereleases=True)
