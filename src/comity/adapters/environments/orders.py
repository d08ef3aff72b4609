"""What an environment is to be, and how it comes about: of locked requirements, or of what a Substra function wants."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import Distribution
from pathlib import Path
from typing import Protocol, final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from comity.adapters.environments import own
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.closure import needed
from comity.adapters.environments.installer import install, install_wanted
from comity.adapters.environments.interpreters import OWN, Interpreter
from comity.adapters.execution.log import Tail
from comity.ports.environments import Environment
from comity.values.digest import Digest, canonical, digest
from comity.values.errors import InvalidInput
from comity.values.requirements import Locked
from comity.values.wanted import Install, Wanted

TOOLS = frozenset(("pip", "setuptools", "wheel"))
"""What installs is there in some version; that is all anybody wants of it."""


@final
@dataclass(frozen=True, slots=True)
class Filled:
    """What an environment has."""

    warm: tuple[str, ...]
    """What is worth importing before the first task."""
    locked: tuple[str, ...] = ()
    """See `Environment`."""


class Order(Protocol):
    """An environment that somebody asks for."""

    @property
    def interpreter(self) -> Interpreter:
        """What it is made of."""
        ...

    @property
    def digest(self) -> Digest:
        """The same digest, the same environment."""
        ...

    @property
    def lines(self) -> tuple[str, ...]:
        """What is asked for, for a reader."""
        ...

    def own(self, builds: Builds) -> tuple[Environment | None, str]:
        """(the node's own environment where that will do, or else why it will not)."""
        ...

    async def fill(self, place: Path, builds: Builds, log: Tail) -> None:
        """Make a virtual environment in `place`/venv; raises BuildFailed."""
        ...

    def settled(self, locked: Sequence[str]) -> Digest:
        """The digest of the order that names the versions which this one was filled with."""
        ...

    def filled(self, packages: Path, runs: Path) -> Filled:
        """What there is when it is filled; raises InvalidInput when that is not complete."""
        ...


@final
class Lock:
    """An order of locked requirements: these, and nothing else."""

    def __init__(self, requirements: Sequence[Locked]) -> None:
        own.check_comity(requirements)
        self._all = tuple(requirements)
        self._applying = own.applying(requirements)
        self.interpreter = OWN
        self.digest = own.digest_of(self._applying)
        self.lines = tuple(str(each) for each in self._applying)

    def own(self, builds: Builds) -> tuple[Environment | None, str]:
        lacks = own.lacks(self._all)
        fits = not lacks and (builds.own or not self._all)
        return (own.environment(self._applying) if fits else None), lacks

    async def fill(self, place: Path, builds: Builds, log: Tail) -> None:
        await install(self._applying, place, builds, log)

    def settled(self, locked: Sequence[str]) -> Digest:
        return self.digest

    def filled(self, packages: Path, runs: Path) -> Filled:
        roots = [Requirement(str(Locked(each.name, each.version, each.extras))) for each in self._applying]
        try:
            needed(roots, [str(packages), str(runs)])
        except InvalidInput as error:
            raise InvalidInput(f"the locked requirements are not complete: {error}; lock that as well") from error
        return Filled(own.warm(self._applying))


@final
class Wish:
    """An order of what a Substra function wants: any version that serves."""

    def __init__(self, wanted: Wanted, interpreter: Interpreter) -> None:
        self._wanted = wanted
        self.interpreter = interpreter
        self.lines = tuple(line for each in wanted.installs for line in _lines(each))
        said = [
            {
                "requirements": list(each.requirements),
                "constraints": list(each.constraints),
                "wheels": [wheel.digest for wheel in each.wheels],
                "indexes": [each.index, *each.more],
            }
            for each in wanted.installs
        ]
        self.digest = digest(canonical({"interpreter": [interpreter.tag, sysconfig.get_platform()], "wanted": said}))

    def own(self, builds: Builds) -> tuple[Environment | None, str]:
        if not builds.own:
            return None, "the node's own environment is not offered"
        if self.interpreter != OWN:
            return None, f"the node itself runs in {OWN.name}"
        if any(each.wheels for each in self._wanted.installs):
            return None, "the function brings wheels of its own"
        lines = [line for each in self._wanted.installs for line in each.requirements]
        limits = [Requirement(line) for each in self._wanted.installs for line in each.constraints]
        if hashed := next((line for line in lines if "--hash" in line), None):
            return None, f"{hashed.partition(' ')[0]} is to have a certain hash"
        roots = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate()]
        try:
            there = needed([_any(each) if each.name in TOOLS else each for each in roots], sys.path)
        except InvalidInput as error:
            return None, str(error)
        for limit in limits:
            version = there[name].version if (name := canonicalize_name(limit.name)) in there else None
            if version is not None and not limit.specifier.contains(version, prereleases=True):
                return None, f"{name} is {version} for the node itself, not {limit.specifier}"
        return own.serving(self.digest, own.worth_warming(there.keys()), _locked(there.values())), ""

    async def fill(self, place: Path, builds: Builds, log: Tail) -> None:
        await install_wanted(self._wanted, self.interpreter, place, builds, log)

    def settled(self, locked: Sequence[str]) -> Digest:
        return Wish(self._wanted.locked(locked), self.interpreter).digest

    def filled(self, packages: Path, runs: Path) -> Filled:
        there = {canonicalize_name(each.name): each for each in metadata.distributions(path=[str(packages)])}
        return Filled(own.worth_warming(there.keys()), _locked(there.values()))


def _locked(there: Iterable[Distribution]) -> tuple[str, ...]:
    """Without what installs, and without wheels of a function's own, which no index has."""
    versions = {
        canonicalize_name(each.name): Version(each.version).public
        for each in there
        if not each.read_text("direct_url.json")
    }
    return tuple(f"{name}=={version}" for name, version in sorted(versions.items()) if name not in TOOLS)


def _lines(each: Install) -> list[str]:
    return [*each.requirements, *(wheel.name for wheel in each.wheels)]


def _any(requirement: Requirement) -> Requirement:
    return Requirement(requirement.name)
