"""Streams from a hub, each read by the thread that wants it.

An event loop copies what comes over TLS once for each of its layers: three times the CPU, of which a round at a large
model is made. It stays with what is small.
"""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from socket import SHUT_RDWR, socket
from typing import final
from urllib.parse import unquote, urlsplit

from comity.node.address import Address

CONNECTING = 10.0
"""Seconds that a connection may take."""

SILENCE = 60.0
"""Seconds without a byte after which a hub is away."""

IDLE = 60.0
"""Seconds for which a connection is kept that nobody uses; a hub keeps it for 75."""


@final
class Cancel:
    """Ends what another thread waits for."""

    def __init__(self) -> None:
        self.asked = False
        self._end: Callable[[], object] | None = None

    def ask(self) -> None:
        """End what is waited for now, and whatever would be next."""
        self.asked = True
        if (end := self._end) is not None:
            end()

    @contextmanager
    def ends_by(self, end: Callable[[], object]) -> Generator[None]:
        """Within it, `end` is called as soon as it is asked; it may be called twice, and by any thread."""
        self._end = end
        try:
            if self.asked:
                end()
            yield
        finally:
            self._end = None


@final
class Downloads:
    """Connections to one hub, kept for the next stream; used by any number of threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: deque[tuple[float, HTTPSConnection]] = deque()

    @contextmanager
    def open(self, target: str, headers: dict[str, str], cancel: Cancel) -> Generator[HTTPResponse]:
        """The answer to GET, to be read within the block.

        Raises OSError or HTTPException when the hub cannot be reached, is silent, or is not the one it should be; also
        once the stream is cancelled.
        """
        connection, answer = self._kept(), None
        try:
            if connection is not None:
                with suppress(OSError, HTTPException):  # the hub may have closed it meanwhile
                    answer = _asked(connection, target, headers, cancel)
            if connection is None or answer is None:
                if connection is not None:
                    connection.close()
                connection = self._connected()
                answer = _asked(connection, target, headers, cancel)
            with cancel.ends_by(_end(connection)):
                yield answer
            if answer.isclosed() and not answer.will_close and not cancel.asked:
                self._idle.append((time.monotonic(), connection))
                connection = None
        finally:
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        while (connection := self._kept()) is not None:
            connection.close()

    def _kept(self) -> HTTPSConnection | None:
        """A connection that nobody uses; what has been there for too long is closed."""
        while True:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < IDLE:
                return connection
            connection.close()

    def _connected(self) -> HTTPSConnection:
        """A new connection, to what is known to be the hub."""
        made = _connection(self._address)
        try:
            made.connect()
            assert isinstance(made.sock, ssl.SSLSocket)
            shown = sha256(made.sock.getpeercert(binary_form=True) or b"").digest()
            if self._address.fingerprint not in (b"", shown):
                raise ssl.SSLCertVerificationError(f"it shows the certificate {shown.hex()}, which is not the hub's")
            made.sock.settimeout(SILENCE)
        except BaseException:
            made.close()
            raise
        return made


def _connection(address: Address) -> HTTPSConnection:
    hub = urlsplit(address.url)
    host, port = hub.hostname or "", hub.port or 443
    if address.proxy is None:
        return HTTPSConnection(host, port, timeout=CONNECTING, context=address.context)
    proxy = urlsplit(address.proxy)
    made = HTTPSConnection(proxy.hostname or "", proxy.port or 80, timeout=CONNECTING, context=address.context)
    headers: dict[str, str] = {}
    if proxy.username is not None:
        secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"
    made.set_tunnel(host, port, headers)
    return made


def _asked(connection: HTTPSConnection, target: str, headers: dict[str, str], cancel: Cancel) -> HTTPResponse:
    with cancel.ends_by(_end(connection)):
        connection.request("GET", target, headers=headers)
        return connection.getresponse()


def _end(connection: HTTPSConnection) -> Callable[[], None]:
    """Ends a connection on which another thread waits."""

    def end() -> None:
        if connection.sock is not None:
            with suppress(OSError):
                socket.shutdown(connection.sock, SHUT_RDWR)

    return end
