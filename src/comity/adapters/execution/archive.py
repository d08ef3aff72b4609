"""Archives of foreign make, unpacked to folders and regular files and nothing else.

A tar file, plain or compressed by gzip, bzip2 or xz, or a zip file; which of them is seen from its content.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from errno import EEXIST, EINVAL, ENOTDIR, ENOTEMPTY
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, BinaryIO, final

from comity.values.errors import Conflict, DecodeError

PIECE = 2**16
"""Bytes read at once, and the most that a tar file's header may have: the time to parse one grows with its square."""

DICTIONARY = 2**27
"""Bytes of memory for unpacking xz; its strongest preset needs half."""

END_OF_TAR = bytes(tarfile.BLOCKSIZE)
END_OF_ZIP = struct.Struct("<4s6xHL6x")
END_OF_ZIP64 = b"PK\6\7"
DIRECTORY_ENTRY = 2**10

BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(ValueError, OverflowError, IndexError, KeyError, NotImplementedError, RuntimeError),
)
"""What the standard library's decoders raise at bytes that are not what they claim to be."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an archive may hold."""

    members: int = 10_000
    bytes: int = 2**30
    """Unpacked, headers of a tar file included."""
    name: int = 1000
    """Bytes of a member's path in UTF-8."""
    depth: int = 32
    """Folders in a member's path, and itself."""


@final
@dataclass(frozen=True, slots=True)
class Member:
    """A folder (`open` is None) or a regular file of an archive."""

    name: str
    open: Callable[[], IO[bytes]] | None


def unpack(archive: Path, into: Path, limits: Limits = Limits()) -> None:
    """Make the folder `into` from an archive: whole, or not at all.

    Raises DecodeError, naming the member, at anything but folders and regular files with plain, relative,
    different names, and beyond the limits; Conflict when `into` exists and is not empty. Modes, owners and
    times are not kept. NOT promised: that the folder survives a crash of the machine.
    """
    with TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as made:
        folder = Path(made, "unpacked")
        folder.mkdir()
        with archive.open("rb") as file, _members(file, limits) as members:
            _write(members, folder, limits)
        try:
            folder.rename(into)
        except OSError as error:
            if error.errno not in (ENOTEMPTY, EEXIST, ENOTDIR):
                raise
            raise Conflict(f"{into} is there already; delete it or unpack elsewhere") from error


def _write(members: Iterator[Member], folder: Path, limits: Limits) -> None:
    seen: set[tuple[str, ...]] = set()
    left = limits.bytes
    for count, member in enumerate(members, 1):
        if count > limits.members:
            raise DecodeError(f"member {member.name[:80]!r} is one more than the limit of {limits.members}")
        parts = _parts(member.name, limits)
        path = folder.joinpath(*parts)
        if parts in seen or any(parts[:depth] in seen for depth in range(1, len(parts))):
            raise DecodeError(f"member {member.name!r} is there twice, or beneath a file")
        if member.open is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        if path.is_dir():
            raise DecodeError(f"member {member.name!r} is there twice, as a file and as a folder")
        seen.add(parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("xb") as target:
            while piece := source.read(PIECE):
                left -= len(piece)
                if left < 0:
                    raise DecodeError(f"member {member.name!r} goes beyond the limit of {limits.bytes} bytes")
                target.write(piece)


def _parts(name: str, limits: Limits) -> tuple[str, ...]:
    """The folders and the name in a member's path; raises DecodeError when it leads anywhere else."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise DecodeError(f"member {name[:80]!r} has a name that is not UTF-8") from error
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable():
        raise DecodeError(f"member {name[:80]!r} has a name that leads out of the folder, or is unprintable")
    if length > limits.name or len(parts) > limits.depth or any(len(part.encode()) > 255 for part in parts):
        raise DecodeError(f"member {name[:80]!r} has a name longer or deeper than the limits")
    return parts


@contextmanager
def _members(file: BinaryIO, limits: Limits) -> Generator[Iterator[Member]]:
    """The members of an archive; what its decoders raise becomes a DecodeError, what the disk raises does not."""
    start = file.read(6)
    file.seek(0)
    try:
        if start.startswith((b"PK\3\4", b"PK\5\6")):
            _check_directory(file, limits)
            with zipfile.ZipFile(file) as opened:
                yield _zip(opened)
        else:
            stream = _Forward(_decompressed(file, start), limits)
            with closing(tarfile.TarFile(fileobj=stream, encoding="utf-8")) as opened:  # pyright: ignore[reportArgumentType]
                yield _tar(opened, stream)
    except DecodeError:
        raise
    except BROKEN as error:
        raise DecodeError(f"this is no archive of the kinds tar and zip, or a broken one: {error}") from error
    except OSError as error:
        if error.errno not in (None, EINVAL):  # none by gzip and bzip2, EINVAL by a seek to before the beginning
            raise
        raise DecodeError(f"this archive cannot be decompressed: {error}") from error


def _zip(opened: zipfile.ZipFile) -> Iterator[Member]:
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
            raise DecodeError(f"member {info.filename!r} is a link or a device; only folders and files are taken")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise DecodeError(f"member {info.filename!r} is encrypted or compressed otherwise than by deflate")
        yield Member(info.filename, None if info.is_dir() else lambda info=info: opened.open(info))


def _check_directory(file: BinaryIO, limits: Limits) -> None:
    """Refuse a zip file whose table of contents is larger than so many members need: it is read as a whole."""
    end = file.seek(0, 2)
    file.seek(max(0, end - 2**16 - END_OF_ZIP.size))
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < END_OF_ZIP.size or END_OF_ZIP64 in tail[max(0, place - 20) : place]:
        raise DecodeError("this zip file has no table of contents, or one in the 64-bit form, which is not read")
    _, count, size = END_OF_ZIP.unpack_from(tail, place)
    if count > limits.members or size > limits.members * DIRECTORY_ENTRY:
        raise DecodeError(f"this zip file has {count} members, more than the limit of {limits.members}")


def _tar(opened: tarfile.TarFile, stream: _Forward) -> Iterator[Member]:
    while (info := opened.next()) is not None:
        if info.isdir():
            yield Member(info.name, None)
        elif info.isreg() and not info.issparse():
            yield Member(info.name, lambda info=info: _content(opened, info))
        else:
            raise DecodeError(f"member {info.name[:80]!r} is a link or a device; only folders and files are taken")
    if stream.last != END_OF_TAR:
        raise DecodeError("this tar file breaks off before its end")
    while stream.read(PIECE):
        pass  # a compressed file's checksum is at its end


def _content(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = opened.extractfile(info)
    assert content is not None
    return content


def _decompressed(file: BinaryIO, start: bytes) -> Callable[[int], bytes]:
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file).read
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file).read
    return _xz(file) if start == b"\xfd7zXZ\0" else file.read


def _xz(file: BinaryIO) -> Callable[[int], bytes]:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DICTIONARY)

    def read(size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size and not decoder.eof:
            compressed = file.read(PIECE) if decoder.needs_input else b""
            if decoder.needs_input and not compressed:
                raise EOFError("it breaks off")
            parts += decoder.decompress(compressed, size - len(parts))
        return bytes(parts)

    return read


@final
class _Forward:
    """A stream as tarfile wants a file: it only goes forward, in small steps, to a limit.

    So a header cannot send the reader in circles, nor have it hold more than a piece in memory.
    """

    def __init__(self, read: Callable[[int], bytes], limits: Limits) -> None:
        self._read = read
        self._limit = limits.bytes + limits.members * PIECE
        self._at = 0
        self.last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, to: int) -> None:
        while self._at < to:
            if not self.read(min(PIECE, to - self._at)):
                raise DecodeError("this tar file breaks off within a member")
        if self._at > to:
            raise DecodeError("this tar file's headers lead backwards")

    def read(self, size: Any = -1) -> bytes:
        if not 0 <= size <= PIECE:
            raise DecodeError(f"this tar file has a header of {size} bytes, more than the limit of {PIECE}")
        self.last = self._read(size)
        self._at += len(self.last)
        if self._at > self._limit:
            raise DecodeError("this tar file goes beyond the limit of bytes")
        return self.last
