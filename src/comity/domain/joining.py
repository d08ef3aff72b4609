"""How an organization joins: a token for its node, and what the node answers with."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, final

import msgspec
from msgspec import Meta

from comity.domain.entry import canonical
from comity.domain.words import DIGEST, OrganizationId
from comity.values.errors import DecodeError
from comity.values.keys import Identity, PublicKeys, from_base64, to_base64

PREFIX = "comity1."

LONGEST = 4000
"""Characters of a token."""


@final
class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a node needs to join; good once, and until it expires."""

    url: str
    """Of the hub."""
    certificate: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    """SHA-256 of the hub's own certificate; empty when a certificate authority vouches for it."""
    hub: str
    """The hub's key for checkpoints."""
    channel: Annotated[str, Meta(pattern=DIGEST)]
    organization: OrganizationId
    secret: str
    expires: int
    """Milliseconds since 1970."""


@final
class Join(msgspec.Struct, frozen=True, kw_only=True):
    """What a node sends to join."""

    channel: Annotated[str, Meta(pattern=DIGEST)]
    organization: OrganizationId
    secret: str
    keys: PublicKeys
    signature: str
    """By the new keys, of all the rest."""


_TOKEN = msgspec.json.Decoder(Token)
_JOIN = msgspec.json.Decoder(Join)


def write_token(token: Token) -> str:
    """The token as one word to hand over."""
    return PREFIX + urlsafe_b64encode(canonical(token)).decode().rstrip("=")


def read_token(text: str) -> Token:
    """The token; raises DecodeError, saying what to do."""
    word = text.strip()
    if not word.startswith(PREFIX) or len(word) > LONGEST:
        raise DecodeError(f"{word[:20]!r} is no token; a token begins with {PREFIX!r} and is one word")
    body = word[len(PREFIX) :]
    try:
        return _TOKEN.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (msgspec.MsgspecError, binascii.Error, UnicodeError, ValueError, RecursionError) as error:
        raise DecodeError("the token is damaged; copy the whole word again") from error


def write_join(token: Token, identity: Identity) -> bytes:
    """The request of a node that has made its keys."""
    body = _signed(token.channel, token.organization, token.secret, identity.public)
    join = Join(
        channel=token.channel,
        organization=token.organization,
        secret=token.secret,
        keys=identity.public,
        signature=to_base64(identity.sign("join", body)),
    )
    return canonical(join)


def read_join(data: bytes) -> Join:
    """The request, its signature verified; raises DecodeError."""
    try:
        join = _JOIN.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"this is no request to join: {error}") from error
    body = _signed(join.channel, join.organization, join.secret, join.keys)
    join.keys.verify("join", body, from_base64(join.signature, 64))
    return join


def _signed(channel: str, organization: str, secret: str, keys: PublicKeys) -> bytes:
    return canonical({"channel": channel, "organization": organization, "secret": secret, "keys": keys})
