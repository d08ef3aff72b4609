"""Sites' memories as files: `SITE/ROUND.safetensors`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import final
from urllib.parse import quote, unquote
from weakref import finalize

from comity.adapters.durable import write
from comity.ports.memories import version_at
from comity.values import codec
from comity.values.tree import Tree

SUFFIX = ".safetensors"


@final
class MemoryFiles:
    """Memories under a directory, so that sites that are not sampled cost no working memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def temporary(cls) -> MemoryFiles:
        """Memories that go when nobody holds them any more."""
        directory = Path(mkdtemp(prefix="comity-memories-"))
        made = cls(directory)
        finalize(made, rmtree, directory, ignore_errors=True)
        return made

    def get(self, site: str, round: int) -> Tree:
        current = version_at(self._versions(site), round)
        return {} if current is None else codec.decode(self._path(site, current).read_bytes())

    def put(self, site: str, round: int, memory: Tree, keep: Sequence[int]) -> None:
        before = self._versions(site)
        write(self._path(site, round), codec.encode(memory))
        kept = {version_at(before, earlier) for earlier in keep if earlier < round} | {round}
        for version in before:
            if version not in kept:
                self._path(site, version).unlink()

    def sites(self) -> Sequence[str]:
        return sorted(unquote(path.name) for path in self._directory.glob("*")) if self._directory.exists() else []

    def _versions(self, site: str) -> list[int]:
        folder = self._directory / quote(site, safe=" ")
        return [int(path.stem) for path in folder.glob(f"*{SUFFIX}")] if folder.exists() else []

    def _path(self, site: str, round: int) -> Path:
        return self._directory / quote(site, safe=" ") / f"{round}{SUFFIX}"
