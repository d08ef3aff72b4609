"""Where sites' memories lie between rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, final

from comity.values import tree
from comity.values.tree import Tree


class Memories(Protocol):
    """One memory for each site and round in which it changed."""

    def get(self, site: str, round: int) -> Tree:
        """The memory that was current at the end of this round; {} when the site had none yet."""
        ...

    def put(self, site: str, round: int, memory: Tree, keep: Sequence[int]) -> None:
        """Store the memory of the end of this round; raises InvalidInput for what is no tree of finite numbers.

        Afterwards `get` is answered for this round and for every round in `keep`; what was put for a
        later round is gone. Nothing else need be kept, so a site costs at most len(keep) + 1 memories.
        That the memory survives a crash of the machine, and not only of the process, is not promised.
        """
        ...

    def rewind(self, round: int) -> None:
        """Forget, at every site, what was put for rounds after this one."""
        ...


@final
class MemoriesInMemory:
    """The fake, good for as many memories as fit."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[int, Tree]] = {}

    def get(self, site: str, round: int) -> Tree:
        versions = self._versions.get(site, {})
        return versions[current] if (current := version_at(versions, round)) is not None else {}

    def put(self, site: str, round: int, memory: Tree, keep: Sequence[int]) -> None:
        tree.check(memory, f"the memory of site {site!r}")
        versions = self._versions.get(site, {})
        kept = {version_at(versions, earlier) for earlier in keep if earlier < round}
        self._versions[site] = {**{v: m for v, m in versions.items() if v in kept}, round: memory}

    def rewind(self, round: int) -> None:
        for site, versions in self._versions.items():
            self._versions[site] = {version: memory for version, memory in versions.items() if version <= round}


def version_at(versions: Iterable[int], round: int) -> int | None:
    """The newest of the rounds that is not after `round`; None when there is none.

    >>> version_at([1, 4, 7], 6)
    4
    """
    return max((version for version in versions if version <= round), default=None)
