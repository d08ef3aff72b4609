"""HTTP/1.1 of uvicorn by its faster parser, which by itself sets no end to what stands beside the body of a request."""

from __future__ import annotations

import asyncio
from typing import Any, cast, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST = 64 << 10
"""Bytes of headers, of what announces a chunk or of trailers that are waited for, beside the piece of bytes in which
they begin."""

READ = 64 << 10
"""Bytes that are read at a time."""


def protocols() -> Any:
    """What makes the protocol of each connection of one server, whose event loop has one thread: uvicorn's `http`."""
    buffer = memoryview(bytearray(READ))

    def made(**given: Any) -> asyncio.BaseProtocol:
        return Buffered(BoundedHttp(**given), buffer)

    return made


@final
class Buffered(asyncio.BufferedProtocol):
    """Has all connections of a server read into one buffer, out of which each is done before the next one reads.

    What comes over TLS otherwise goes through a new buffer for every 16 KiB, which costs as much again as opening it.
    """

    def __init__(self, http: BoundedHttp, buffer: memoryview) -> None:
        self._http = http
        self._buffer = buffer
        self.connection_lost = http.connection_lost
        self.eof_received = http.eof_received
        self.pause_writing = http.pause_writing
        self.resume_writing = http.resume_writing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._http.connection_made(cast(asyncio.Transport, transport))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._http.data_received(self._buffer[:nbytes])


@final
class BoundedHttp(HttpToolsProtocol):
    """Answers 400 to a request whose headers or trailers do not end, before they fill the memory; reads no trailers."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._in_headers = False
        self._went_on = False
        """Whether the last piece of bytes began headers or ended them, or had anything of a body."""
        self._beside = 0
        """Bytes that came since then."""

    def data_received(self, data: bytes | memoryview) -> None:
        self._went_on = False
        super().data_received(data)  # pyright: ignore[reportArgumentType] the parser takes any buffer
        self._beside = 0 if self._went_on else self._beside + len(data)
        if self._beside > LARGEST and not self.transport.is_closing():
            self.send_400_response(f"headers and trailers of a request have at most {LARGEST} bytes")

    def on_message_begin(self) -> None:
        self._in_headers = self._went_on = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers, self._went_on = False, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._went_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._went_on = True
        super().on_message_complete()
