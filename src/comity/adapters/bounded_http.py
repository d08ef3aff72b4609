"""HTTP/1.1 of uvicorn by its faster parser, which by itself sets no end to what stands beside the body of a request."""

from __future__ import annotations

from typing import Any, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST = 64 << 10
"""Bytes of headers, of what announces a chunk or of trailers that are waited for, beside the piece of bytes in which
they begin."""


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

    def data_received(self, data: bytes) -> None:
        self._went_on = False
        super().data_received(data)
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
