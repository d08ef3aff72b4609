"""Blobs as local files: `HEX` under a directory, with those under way in `incoming/`.

Not through obstore's LocalStore, which returns before the bytes are on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import final

from comity.adapters.durable import settle
from comity.adapters.staging import Staging
from comity.ports.blobs import NAME, hexadecimal, readable
from comity.values.digest import Digest
from comity.values.stream import CHUNK, Bytes


@final
class BlobFiles:
    """Blobs under a directory on one file system, readable by their owner only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._staging = Staging(directory / "incoming")
        settle(directory.parent)

    def put(self, chunks: Iterable[Bytes], expected: Digest | None = None) -> Digest:
        with self._staging.receive(chunks, expected) as (path, name):
            settle(path)
            path.replace(self._path(name))
        settle(self._directory)
        return name

    def open(self, name: Digest, offset: int = 0) -> Iterator[bytes]:
        readable(name, self.size(name), offset)
        return _read(self._path(name), offset)

    def link(self, name: Digest, at: Path) -> None:
        """Have the blob's file lie at another path too, on the same file system, also once it is deleted here.

        Whoever can write to it there changes the blob. Raises NotFound for a blob that is not there.
        """
        readable(name, self.size(name), 0)
        at.hardlink_to(self._path(name))

    def size(self, name: Digest) -> int | None:
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            return None

    def delete(self, name: Digest) -> None:
        self._path(name).unlink(missing_ok=True)

    def digests(self) -> Iterator[Digest]:
        for path in self._directory.iterdir():
            if NAME.fullmatch(name := f"sha256:{path.name}"):
                yield Digest(name)

    def _path(self, name: Digest) -> Path:
        return self._directory / hexadecimal(name)


def _read(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            yield chunk
