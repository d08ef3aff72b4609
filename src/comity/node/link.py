"""A node's way to its hub: signed requests over one HTTPS connection, opened from the node's side."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPException
from typing import Annotated, final

import aiohttp
import msgspec
from msgspec import Meta

from comity.adapters.clock import now
from comity.domain.request import SignedRequest, authorization
from comity.node.address import Address
from comity.node.downloads import Cancel, Downloads
from comity.node.skew import Skew
from comity.values import errors
from comity.values.digest import digest
from comity.values.errors import ComityError, DecodeError, Unavailable
from comity.values.keys import Identity

ERRORS: dict[str, type[ComityError]] = {
    kind.__name__: kind
    for kind in (
        errors.Forbidden,
        errors.NotFound,
        errors.Conflict,
        errors.Unavailable,
        errors.InvalidInput,
        errors.DecodeError,
        errors.NotSupported,
    )
}

PIECE = 1 << 20

SMALL = 1 << 16
"""Bytes of a piece at most, of what comes in pieces of TLS anyway, which are smaller."""

LARGEST = 64 << 20
"""Bytes of an answer that is no parcel."""


@final
class Refusal(msgspec.Struct, frozen=True):
    """An answer that is not 200."""

    error: str
    detail: str


@final
class Outcome(msgspec.Struct, frozen=True):
    """What became of an entry at the hub."""

    error: str = ""
    detail: str = ""


_REFUSAL = msgspec.json.Decoder(Refusal)
_OUTCOMES = msgspec.json.Decoder(Annotated[list[Outcome], Meta(min_length=1)])


@final
@dataclass(frozen=True)
class Link:
    """Requests of one organization about one channel."""

    session: aiohttp.ClientSession
    address: Address
    channel: str
    organization: str
    identity: Identity
    agent: str = ""
    """How this node names itself."""
    skew: Skew = field(default_factory=Skew)
    uploads: aiohttp.ClientSession | None = None
    """The session of streams, if they have one of their own: a connection that has carried one keeps large buffers at
    both its ends, so there should be few of them."""

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float = 30.0) -> bytes:
        """The answer's body; raises what the hub raised, or Unavailable when it cannot be reached."""
        headers = self._headers(method, target, digest(body) if body else "")
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=10)
        try:
            async with self.session.request(
                method,
                self.address.url + target,
                data=body or None,
                headers=headers,
                ssl=self.address.tls,
                proxy=self.address.proxy,
                timeout=timeout,
            ) as answer:
                self.skew.heard(answer.headers.get("date", ""))
                data = await read(answer)
                check(answer.status, data)
                return data
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise away(self.address, error) from error

    async def upload(self, target: str, pieces: AsyncIterator[bytes]) -> bytes:
        """The answer to a stream; raises as `call` does."""
        headers = self._headers("PUT", target, "")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
        try:
            async with (self.uploads or self.session).put(
                self.address.url + target,
                data=pieces,
                headers=headers,
                ssl=self.address.tls,
                proxy=self.address.proxy,
                timeout=timeout,
                expect100=True,  # nothing is sent that the hub would refuse, such as what it is still writing
            ) as answer:
                data = await read(answer)
                check(answer.status, data)
                return data
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise away(self.address, error) from error

    def download(self, target: str, cancel: Cancel) -> Iterator[bytes]:
        """A stream, which may end early, read by the thread that asks for it; raises as `call` does."""
        try:
            with self._downloads.open(target, self._headers("GET", target, ""), cancel) as answer:
                if answer.status != 200:
                    check(answer.status, answer.read(LARGEST))
                while piece := answer.read1(SMALL):
                    yield piece
        except (HTTPException, OSError) as error:
            raise away(self.address, error) from error

    def close(self) -> None:
        """Let go of connections of its own, those that are not the session's."""
        self._downloads.close()

    @cached_property
    def _downloads(self) -> Downloads:
        return Downloads(self.address)

    def _headers(self, method: str, target: str, body: str) -> dict[str, str]:
        signed = SignedRequest(
            organization=self.organization,
            channel=self.channel,
            method=method,
            target=target,
            body=body,
            time=now(),
            nonce=secrets.token_hex(16),
        )
        return {"Authorization": authorization(signed, self.identity), "User-Agent": self.agent}


def away(address: Address, error: Exception) -> Unavailable:
    """What to say of a hub that cannot be reached."""
    match error:
        case aiohttp.ServerFingerprintMismatch() | aiohttp.ClientSSLError() | ssl.SSLCertVerificationError():
            reason = "something else shows a certificate for it, which is not trusted here; see ca_file in the settings"
        case aiohttp.ClientHttpProxyError():
            reason = f"the proxy that HTTPS_PROXY names answers {error.status} {error.message}"
        case aiohttp.ClientConnectorError():
            reason = str(error.os_error)
        case _:
            reason = str(error) or type(error).__name__
    return Unavailable(f"the hub at {address.url} cannot be reached: {reason}")


def check(status: int, body: bytes) -> None:
    """Raise what an answer that is not 200 says."""
    if status == 200:
        return
    try:
        said = _REFUSAL.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Unavailable(f"the hub answered {status}: {body[:200]!r}") from error
    raise refusal(said.error, said.detail)


def refusal(kind: str, detail: str) -> ComityError:
    """The error that a hub's words stand for."""
    return ERRORS.get(kind, DecodeError)(detail)


async def read(answer: aiohttp.ClientResponse) -> bytes:
    """The body; raises Unavailable for one that no hub needs, before it fills the memory."""
    body = bytearray()
    async for piece in answer.content.iter_chunked(PIECE):
        body += piece
        if len(body) > LARGEST:
            raise Unavailable(f"the hub's answer has more than {LARGEST} bytes")
    return bytes(body)


def outcome(body: bytes) -> ComityError | None:
    """Why the hub refused the one entry that it was sent, None when it did not; raises Unavailable."""
    try:
        first: Outcome = _OUTCOMES.decode(body)[0]
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Unavailable(f"the hub's answer cannot be read: {error}") from error
    return refusal(first.error, first.detail) if first.error else None
