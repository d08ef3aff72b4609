"""Requirements that are not locked: what a Substra function asks pip for, and whatever version serves will do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

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
