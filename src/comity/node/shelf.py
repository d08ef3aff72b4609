"""Folders that may be made again, kept while there is room: those that were used last."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

from comity.adapters.execution.folders import usage

GRACE = 600.0
"""Seconds for which what was just used stays, whoever reads it."""

FILES = 10_000_000
"""The most that are counted of one folder."""


@final
class Shelf:
    """Folders below one, by their names; it says which of them go, and deletes nothing itself."""

    def __init__(self, folder: Path, *, most: int, now: Callable[[], float] = time.monotonic) -> None:
        """`most` is how many bytes of disk they may take up."""
        self._folder = folder
        self._most = most
        self._now = now
        self._sizes: dict[str, int] = {}  # the one used last comes last
        self._used: dict[str, float] = {}
        self._users = Counter[str]()

    def learn(self, names: Callable[[str], bool]) -> None:
        """Take in the folders that are there, in the order in which they were used before this program began."""
        found = [path for path in self._folder.iterdir() if names(path.name) and path.is_dir()]
        old = sorted((path for path in found if path.name not in self._sizes), key=lambda path: path.stat().st_mtime)
        self._sizes = {**{path.name: _size(path) for path in old}, **self._sizes}

    def put(self, name: str) -> None:
        """Take in a folder that has been made."""
        self._sizes[name] = _size(self._folder / name)
        self.use(name)

    def use(self, name: str) -> None:
        """A folder is used now."""
        self._used[name] = self._now()
        if name in self._sizes:
            self._sizes[name] = self._sizes.pop(name)
            with suppress(OSError):
                os.utime(self._folder / name)

    @contextmanager
    def held(self, *names: str) -> Generator[None]:
        """Folders, there or not yet, that stay for as long as this lasts."""
        self._users.update(names)
        try:
            yield
        finally:
            for name in names:
                self.use(name)
                self._users[name] -= 1
            self._users += Counter()  # those that nobody uses are forgotten

    def surplus(self) -> list[str]:
        """Those to delete, the one used longest ago first, until the rest fits; none in use, nor just now."""
        taken, found = sum(self._sizes.values()), list[str]()
        for name, size in self._sizes.items():
            if taken <= self._most:
                break
            if self.is_free(name):
                found.append(name)
                taken -= size
        return found

    def is_free(self, name: str) -> bool:
        """Whether nobody uses it, and nobody has just now."""
        return not self._users[name] and self._now() - self._used.get(name, -GRACE) >= GRACE

    def drop(self, name: str) -> None:
        """A folder has been deleted, or has another name now."""
        self._sizes.pop(name, None)
        self._used.pop(name, None)


def _size(path: Path) -> int:
    return usage(path, most=FILES).size
