"""HTTP/1.1 of uvicorn by its faster parser, which by itself sets no end to the headers of a request."""

from __future__ import annotations

from typing import Any, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST = 64 << 10
"""Bytes of headers that are waited for, beside the piece of bytes in which they begin."""


@final
class BoundedHttp(HttpToolsProtocol):
    """Answers 400 to a request whose headers do not end, before they fill the memory."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._begun = False
        """Whether headers have begun that have not ended."""
        self._more = 0
        """Bytes of them that came since."""

    def data_received(self, data: bytes) -> None:
        before = self._begun
        super().data_received(data)
        self._more = self._more + len(data) if before and self._begun else 0
        if self._more > LARGEST and not self.transport.is_closing():
            self.send_400_response(f"the headers of a request have at most {LARGEST} bytes")

    def on_message_begin(self) -> None:
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._begun = False
        super().on_headers_complete()
