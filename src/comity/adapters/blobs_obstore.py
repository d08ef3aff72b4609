"""Blobs in an object store (S3, GCS, Azure): one object `HEX` for each.

A blob is first written and verified on a local disk: an object store must be told an object's name before
its bytes, and copies within S3 end at 5 GB. An upload that is cut off is invisible, but S3 keeps, and bills,
its parts: give the bucket a lifecycle rule that aborts incomplete multipart uploads.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from comity.adapters.staging import Staging
from comity.ports.blobs import NAME, hexadecimal, readable
from comity.values.digest import Digest
from comity.values.stream import CHUNK, Bytes

# S3 takes 10,000 parts at most: 80 GiB. Two of them under way are the memory of an upload.
PART, UPLOADS = 8 * CHUNK, 2


@final
class BlobsObstore:
    """Blobs in a bucket or under a prefix of it, as in `obstore.store.from_url("s3://bucket/prefix")`.

    Needs as much room in the staging folder as the blobs put at a time.
    """

    def __init__(self, store: ObjectStore, staging: Path) -> None:
        self._store = store
        self._staging = Staging(staging)

    def put(self, chunks: Iterable[Bytes], expected: Digest | None = None) -> Digest:
        with self._staging.receive(chunks, expected) as (path, name), _os_errors():
            obstore.put(self._store, hexadecimal(name), path, chunk_size=PART, max_concurrency=UPLOADS)
            return name

    def open(self, name: Digest, offset: int = 0) -> Iterator[bytes]:
        return self._read(hexadecimal(name), offset, readable(name, self.size(name), offset))

    def size(self, name: Digest) -> int | None:
        try:
            with _os_errors():
                return obstore.head(self._store, hexadecimal(name))["size"]
        except FileNotFoundError:
            return None

    def delete(self, name: Digest) -> None:
        with _os_errors():
            obstore.delete(self._store, hexadecimal(name))

    def digests(self) -> Iterator[Digest]:
        with _os_errors():
            for objects in obstore.list(self._store):
                for found in objects:
                    if NAME.fullmatch(name := f"sha256:{found['path']}"):
                        yield Digest(name)

    def _read(self, path: str, offset: int, size: int) -> Iterator[bytes]:
        # A request per part, since one for the whole would meet the store's time limit when its reader is slow.
        for start in range(offset, size, PART):
            with _os_errors():
                part = memoryview(obstore.get_range(self._store, path, start=start, end=min(start + PART, size)))
            for begin in range(0, len(part), CHUNK):
                yield bytes(part[begin : begin + CHUNK])


@contextmanager
def _os_errors() -> Generator[None]:
    try:
        yield
    except BaseError as error:
        raise OSError(f"the object store failed: {error}") from error
