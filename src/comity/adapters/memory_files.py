"""Sites' memories as files: a folder for each site, in it `ROUND.safetensors`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import final
from weakref import finalize

from comity.adapters.durable import write
from comity.ports.memories import version_at
from comity.values import codec
from comity.values.errors import DecodeError
from comity.values.tree import Tree

SUFFIX = ".safetensors"
NAME = re.compile(rf"[0-9]+{re.escape(SUFFIX)}")


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
        folder = self._folder(site)
        current = version_at(_versions(folder), round)
        if current is None:
            return {}
        path = _path(folder, current)
        try:
            return codec.decode(path.read_bytes())
        except DecodeError as error:
            raise DecodeError(
                f"the memory {path} of site {site!r} is damaged ({error}); begin anew in another directory"
            ) from error

    def put(self, site: str, round: int, memory: Tree, keep: Sequence[int]) -> None:
        folder = self._folder(site)
        before = _versions(folder)
        write(_path(folder, round), codec.encode(memory))
        kept = {version_at(before, earlier) for earlier in keep if earlier < round} | {round}
        _forget(folder, [version for version in before if version not in kept])

    def rewind(self, round: int) -> None:
        for folder in self._directory.iterdir() if self._directory.exists() else ():
            _forget(folder, [version for version in _versions(folder) if version > round])

    def _folder(self, site: str) -> Path:
        # Two names that a file system holds for one, such as "va" and "VA", have two digests.
        return self._directory / sha256(site.encode()).hexdigest()[:32]


def _versions(folder: Path) -> list[int]:
    try:
        return [int(path.stem) for path in folder.iterdir() if NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []


def _path(folder: Path, round: int) -> Path:
    return folder / f"{round}{SUFFIX}"


def _forget(folder: Path, versions: Sequence[int]) -> None:
    for version in versions:
        _path(folder, version).unlink()
