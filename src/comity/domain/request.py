"""Requests of nodes to the hub, signed with the organization's key; no client certificates are needed.

A signature is over method, target, body, time and a nonce. The hub takes a nonce once, refuses a time that is
further than five minutes from its own, and one from before its own start, since it then no longer knows the
nonces of that time.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, final

import msgspec
from msgspec import Meta

from comity.domain.entry import canonical
from comity.domain.words import DIGEST, OrganizationId
from comity.values.errors import DecodeError, Forbidden, Unavailable
from comity.values.keys import Identity, PublicKeys, from_base64, to_base64

TOLERANCE = 300_000
"""Milliseconds that the clocks of node and hub may differ."""

SCHEME = "Comity "


@final
class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed."""

    organization: OrganizationId
    channel: Annotated[str, Meta(pattern=DIGEST)]
    method: str
    target: str
    """Path and query."""
    body: str = ""
    """Digest of the body; empty for a stream, whose content vouches for itself."""
    time: int
    """Milliseconds since 1970."""
    nonce: Annotated[str, Meta(min_length=16, max_length=64)]


@final
class _Header(msgspec.Struct, frozen=True, kw_only=True):
    request: SignedRequest
    signature: str


_HEADER = msgspec.json.Decoder(_Header)


def authorization(request: SignedRequest, identity: Identity) -> str:
    """The value of the Authorization header."""
    signature = to_base64(identity.sign("request", canonical(request)))
    return SCHEME + urlsafe_b64encode(canonical(_Header(request=request, signature=signature))).decode()


def read_authorization(value: str) -> tuple[SignedRequest, bytes]:
    """(what was signed, the signature still to be verified); raises DecodeError."""
    if not value.startswith(SCHEME):
        raise DecodeError("the request is not signed; its Authorization header must begin with 'Comity '")
    try:
        header = _HEADER.decode(urlsafe_b64decode(value[len(SCHEME) :]))
    except (msgspec.MsgspecError, binascii.Error, UnicodeError, ValueError, RecursionError) as error:
        raise DecodeError(f"the Authorization header cannot be read: {error}") from error
    return header.request, from_base64(header.signature, 64)


def verify(request: SignedRequest, signature: bytes, keys: PublicKeys) -> None:
    """Raises DecodeError unless the holder of these keys signed the request."""
    keys.verify("request", canonical(request), signature)


def check_time(time: int, *, now: int, since: int) -> None:
    """Raises Forbidden for a request of another time, Unavailable for one that need only be signed anew."""
    if abs(time - now) > TOLERANCE:
        raise Forbidden(
            f"the request is of {time} and the hub's clock says {now} (milliseconds since 1970): the sender's clock is "
            f"{abs(time - now) // 1000} s {'ahead' if time > now else 'behind'}; set the clock right, e.g. by NTP, "
            f"{TOLERANCE // 1000} s of difference are tolerated"
        )
    if time < since:
        raise Unavailable(f"the request was signed before the hub started at {since}; sign it anew")
