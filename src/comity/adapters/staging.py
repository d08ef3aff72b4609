"""Where a blob is written and verified before it counts."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import final

from comity.ports.blobs import verified
from comity.values.digest import Digest
from comity.values.stream import Bytes


@final
class Staging:
    """A folder of files under way; what a killed process left in it is removed when the next one begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Another process that writes here holds the lock; then nothing is removed, not even what is left over.
        with suppress(BlockingIOError), self._locked(LOCK_EX | LOCK_NB):
            for left in folder.iterdir():
                left.unlink()

    @contextmanager
    def receive(self, chunks: Iterable[Bytes], expected: Digest | None) -> Generator[tuple[Path, Digest]]:
        """A file with what the chunks hold, and its digest; it is removed at the end unless it was moved away.

        Raises DecodeError when its digest is not the expected one.
        """
        with self._locked(LOCK_SH), NamedTemporaryFile(dir=self._folder, delete=False) as file:
            path, seen = Path(file.name), sha256()
            try:
                for chunk in chunks:
                    seen.update(chunk)
                    file.write(chunk)
                file.flush()
                yield path, verified(Digest("sha256:" + seen.hexdigest()), expected)
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, kind: int) -> Generator[None]:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            flock(folder, kind)
            yield
        finally:
            os.close(folder)
