"""Bytes of any size, named by what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol, final

from comity.values.digest import Digest, digest
from comity.values.errors import DecodeError, InvalidInput, NotFound
from comity.values.stream import CHUNK, Bytes

NAME = re.compile("sha256:([0-9a-f]{64})")


class Blobs(Protocol):
    """A store of blobs by digest, for many threads at once.

    No blob is ever held in memory: each call needs a few chunks of 1 MiB. A store that is full, gone or not
    to be reached raises OSError. Anything that is not a digest raises InvalidInput.
    NOT promised: that what is read is verified again; whoever decodes or ships it does that.
    """

    def put(self, chunks: Iterable[Bytes], expected: Digest | None = None) -> Digest:
        """Store what the chunks hold, of any size each, and give its digest.

        Whole or not at all: nothing is visible before the end, nothing is left when the chunks raise, the
        process dies, or the digest is not the expected one, which raises DecodeError. On return it survives a
        crash of the machine. A blob that is there already is replaced by itself.
        """
        ...

    def open(self, name: Digest, offset: int = 0) -> Iterator[bytes]:
        """The blob's bytes from an offset on, in chunks of 1 MiB but for the last, none of them empty.

        Raises at once NotFound for a blob that is not there and InvalidInput for an offset beyond its end. When it
        is deleted meanwhile, it is read to its end or OSError is raised.
        """
        ...

    def size(self, name: Digest) -> int | None:
        """How many bytes the blob has, None when there is no such blob."""
        ...

    def delete(self, name: Digest) -> None:
        """Forget the blob; does nothing when there is no such blob."""
        ...

    def digests(self) -> Iterator[Digest]:
        """Every blob that is there, in no order; one that comes or goes meanwhile may be among them or not."""
        ...


def hexadecimal(name: Digest) -> str:
    """The digits of a digest; raises InvalidInput for anything else, so that no name leads out of a store."""
    if (match := NAME.fullmatch(name)) is None:
        raise InvalidInput(f"{name!r} is no digest; it is 'sha256:' and 64 hexadecimal digits")
    return match[1]


def verified(found: Digest, expected: Digest | None) -> Digest:
    """What was found; raises DecodeError when something else was expected."""
    if expected is not None and found != expected:
        raise DecodeError(f"the blob is {found}, not {expected} as announced; fetch it again")
    return found


def readable(name: Digest, size: int | None, offset: int) -> int:
    """The blob's size; raises NotFound when there is none, InvalidInput when the offset is not within it."""
    if size is None:
        raise NotFound(f"there is no blob {name} here; fetch it first")
    if not 0 <= offset <= size:
        raise InvalidInput(f"blob {name} has {size} bytes; it cannot be read from byte {offset} on")
    return size


@final
class BlobsInMemory:
    """The fake."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}

    def put(self, chunks: Iterable[Bytes], expected: Digest | None = None) -> Digest:
        data = b"".join(bytes(chunk) for chunk in chunks)
        name = verified(digest(data), expected)
        self._blobs[name] = data
        return name

    def open(self, name: Digest, offset: int = 0) -> Iterator[bytes]:
        size = readable(name, self.size(name), offset)
        data = self._blobs[name]
        return (data[start : start + CHUNK] for start in range(offset, size, CHUNK))

    def size(self, name: Digest) -> int | None:
        hexadecimal(name)
        data = self._blobs.get(name)
        return None if data is None else len(data)

    def delete(self, name: Digest) -> None:
        hexadecimal(name)
        self._blobs.pop(name, None)

    def digests(self) -> Iterator[Digest]:
        return iter(list(self._blobs))
