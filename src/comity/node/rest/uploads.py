"""Forms with files (RFC 7578), received into files: nothing of a file is ever held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from comity.adapters.disk import room
from comity.values.errors import DecodeError, InvalidInput

LARGEST = 4 << 30
"""Bytes of a form."""

LARGEST_TEXT = 4 << 20
"""Bytes of all parts that are no files."""

MOST = 1000
"""Parts of a form."""

PIECE = 1 << 20


@final
@dataclass(frozen=True)
class Upload:
    """A form's parts by their names."""

    fields: dict[str, bytes] = field(default_factory=dict[str, bytes])
    files: dict[str, Path] = field(default_factory=dict[str, Path])

    def text(self, name: str) -> bytes:
        """A part that is no file; raises DecodeError when it is missing."""
        if name not in self.fields:
            raise DecodeError(f"the form has no part {name!r}; it has {sorted(self.fields)}")
        return self.fields[name]

    def file(self, name: str) -> Path:
        """Where a file lies; raises DecodeError when it is missing."""
        if name not in self.files:
            raise DecodeError(f"the form has no file {name!r}; it has {sorted(self.files)}")
        return self.files[name]


@asynccontextmanager
async def received(content_type: str, stream: AsyncIterator[bytes], folder: Path) -> AsyncGenerator[Upload]:
    """A form whose files lie below `folder` until the end; raises DecodeError or InvalidInput.

    Raises OSError when there is no room left.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise DecodeError(f"the request must be of the type multipart/form-data, not {content_type[:80]!r}")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="upload-") as place:
        parts = _Parts(Path(place))
        try:
            await _parse(parts, options[b"boundary"], stream)
            yield parts.upload
        finally:
            parts.close()


async def _parse(parts: _Parts, boundary: bytes, stream: AsyncIterator[bytes]) -> None:
    total, waiting = 0, bytearray()
    try:
        parser = parts.parser(boundary)
        async for piece in stream:
            total += len(piece)
            if total > LARGEST:
                raise InvalidInput(f"the form has more than {LARGEST} bytes; register data samples in place")
            waiting += piece
            if len(waiting) >= PIECE:
                room(parts.folder)
                await asyncio.to_thread(parser.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(parser.write, bytes(waiting))
    except FormParserError as error:
        raise DecodeError(f"the form cannot be read: {error}") from error
    if not parts.ended:
        raise DecodeError("the form breaks off before its end")


@final
class _Parts:
    """What the parser calls."""

    def __init__(self, folder: Path) -> None:
        self.upload = Upload()
        self.ended = False
        self.folder = folder
        self._count = 0
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._file: BinaryIO | None = None
        self._field = bytearray()
        self._room = LARGEST_TEXT

    def parser(self, boundary: bytes) -> MultipartParser:
        """A parser that fills these parts."""
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_ended,
                "on_headers_finished": self._headers_ended,
                "on_part_data": self._data,
                "on_part_end": self._part_ended,
                "on_end": self._end,
            },
        )

    def close(self) -> None:
        """Close the file that is under way."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._count += 1
        if self._count > MOST:
            raise InvalidInput(f"the form has more than {MOST} parts; send less at a time")
        self._headers.clear()
        self._field = bytearray()

    def _header_ended(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_ended(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode(errors="replace")
        if self._name in self.upload.fields or self._name in self.upload.files:
            raise DecodeError(f"two parts of the form are called {self._name!r:.80}; rename one")
        if b"filename" in options:
            path = self.folder / str(self._count)
            self.upload.files[self._name] = path
            self._file = path.open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
            return
        self._field += data[start:end]
        self._room -= end - start
        if self._room < 0:
            raise InvalidInput(f"the parts that are no files have more than {LARGEST_TEXT} bytes; send less at a time")

    def _part_ended(self) -> None:
        if self._file is None:
            self.upload.fields[self._name] = bytes(self._field)
        self.close()

    def _end(self) -> None:
        self.ended = True
