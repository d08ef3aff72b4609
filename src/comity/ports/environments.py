"""Environments that tasks run in: an interpreter and what is installed for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, final

from packaging.requirements import Requirement

from comity.values.digest import Digest, canonical, digest
from comity.values.errors import BuildFailed
from comity.values.requirements import Locked
from comity.values.wanted import Wanted


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An interpreter that finds comity and the locked requirements on its own, started with `-I`."""

    digest: Digest
    """Of the interpreter and the requirements that apply to it: the same digest, the same environment."""
    python: Path
    mounts: tuple[Path, ...]
    """Folders that it reads: each to be seen, read-only, at the same path by whoever runs in it."""
    warm: tuple[str, ...]
    """Modules worth importing before the first task."""
    locked: tuple[str, ...] = ()
    """What is installed for requirements that name no versions, each as `name==version`."""


Requirements: TypeAlias = tuple[Locked, ...] | Wanted
"""What an environment is to have: just this, or whatever serves."""


class Environments(Protocol):
    """A store of environments by their requirements."""

    def using(self, requirements: Requirements) -> AbstractAsyncContextManager[Environment]:
        """The environment, built first when it is not there, and kept while the context lasts.

        However many ask at once, one environment is built once. When the caller is cancelled, the build is killed.
        Raises BuildFailed when it cannot be had; `log` tells more. Without requirements it is the node's own.
        """
        ...

    async def has(self, requirements: Requirements) -> bool:
        """Whether `using` would give it at once; it may be deleted in between."""
        ...

    async def log(self, requirements: Requirements) -> str:
        """What the installer wrote in its last build, at most a MiB; empty when it was never built here."""
        ...


@final
class EnvironmentsInMemory:
    """The fake: builds at once whatever is not among the names that fail, and counts the builds."""

    def __init__(self, environment: Environment, failing: Set[str] = frozenset()) -> None:
        self._environment = environment
        self._failing = failing
        self.built: list[Digest] = []

    @asynccontextmanager
    async def using(self, requirements: Requirements) -> AsyncGenerator[Environment]:
        if not await self.has(requirements):
            self.built.append(_name(requirements))
            if failing := next((line for line in _lines(requirements) if _named(line) in self._failing), None):
                raise BuildFailed(f"{failing} cannot be installed; name another version")
        yield self._environment

    async def has(self, requirements: Requirements) -> bool:
        fails = any(_named(line) in self._failing for line in _lines(requirements))
        return not requirements or (_name(requirements) in self.built and not fails)

    async def log(self, requirements: Requirements) -> str:
        there = _name(requirements) in self.built
        return "".join(f"{each}\n" for each in _lines(requirements)) if there else ""


def _lines(requirements: Requirements) -> list[str]:
    if isinstance(requirements, Wanted):
        return [line for each in requirements.installs for line in each.requirements]
    return [str(each) for each in requirements]


def _named(line: str) -> str:
    return Requirement(line.partition(" --hash")[0]).name


def _name(requirements: Requirements) -> Digest:
    return digest(canonical(_lines(requirements)))
