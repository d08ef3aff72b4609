"""The messages of a secure sum, and their one encoding.

JSON with sorted keys, bytes in base64; what is not exactly that, or is longer than any sum needs, is
refused. What a site says it signs with its organization's key; what the aggregator sends consists of what
sites have signed, so that it can withhold but not invent.

| in order | from, to | holds |
|---|---|---|
| Advertise | site → aggregator | two fresh public keys and the digest of a seed |
| Advertised | aggregator → site | everybody's |
| Sharing | site → aggregator | for each keeper, sealed: its shares of the site's two secrets |
| Shared | aggregator → site | who has shared, and the shares that are the site's |
| Input | site → aggregator | the masked input's digest, signed; the segments go beside it |
| Survivors | aggregator → site | every signed digest that is in |
| Agreement | site → aggregator | that these are the ones |
| Agreed | aggregator → site | enough agreements |
| Opening | site → aggregator | for each site a share of its seed, or of its masking key, never of both |
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar, final

import msgspec
from msgspec import Meta, structs

from comity.privacy.terms import Name, Terms, canonical
from comity.values.cohort import MOST
from comity.values.digest import Digest, digest
from comity.values.errors import ComityError, DecodeError
from comity.values.keys import Identity

LONGEST = 1 << 21
"""Bytes of a message."""

SEGMENTS = 1 << 14
"""Segments of an input: at two million coordinates each, more than any model has."""

Hash: TypeAlias = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Bytes32: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Sealed: TypeAlias = Annotated[bytes, Meta(min_length=112, max_length=112)]
"""Two shares sealed by HPKE: 32 bytes of a key, 64 of shares, 16 of a tag."""
Signature: TypeAlias = Annotated[bytes, Meta(max_length=64)]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    """Any message of one session."""

    session: Hash


class Signed(Message, frozen=True, kw_only=True):
    """What a site says."""

    sender: Name
    signature: Signature = b""


@final
class Advertise(Signed, frozen=True, kw_only=True):
    """Fresh keys of a site, for this session only."""

    sealing: Bytes32
    """X25519, for HPKE."""
    masking: Bytes32
    """X25519, for the masks of pairs."""
    seed: Hash
    """The digest of the seed of the site's own mask."""


@final
class Share(Signed, frozen=True, kw_only=True):
    """A keeper's shares of the sender's seed and masking key, sealed to it."""

    recipient: Name
    advertised: Hash
    """The digest of the advertisements that the sender was shown."""
    sealed: Sealed


@final
class Commitment(Signed, frozen=True, kw_only=True):
    """What a site's masked input is, without the input."""

    sharing: Hash
    """The digest of who has shared, as the sender was shown."""
    form: Hash
    """The digest of what the coordinates mean and how they are encoded."""
    size: Annotated[int, Meta(ge=1, le=2**38)]
    """Coordinates."""
    root: Hash
    """The digest of the segments' digests."""


@final
class Agreement(Signed, frozen=True, kw_only=True):
    """The sender will open its shares for these survivors and for no others."""

    survivors: Hash


@final
class Opening(Signed, frozen=True, kw_only=True):
    """The sender's shares."""

    seeds: Annotated[dict[Name, Bytes32], Meta(max_length=MOST)]
    """Of the seeds of those who survived."""
    keys: Annotated[dict[Name, Bytes32], Meta(max_length=MOST)]
    """Of the masking keys of those who shared and then fell out."""


@final
class Advertised(Message, frozen=True, kw_only=True):
    """Who has advertised, in the order of names."""

    advertised: Annotated[tuple[Advertise, ...], Meta(max_length=MOST)]


@final
class Sharing(Message, frozen=True, kw_only=True):
    """All that one site shares."""

    sender: Name
    shares: Annotated[tuple[Share, ...], Meta(max_length=MOST)]


@final
class Shared(Message, frozen=True, kw_only=True):
    """Who has shared, and what was shared with the recipient; both in the order of names."""

    names: Annotated[tuple[Name, ...], Meta(max_length=MOST)]
    shares: Annotated[tuple[Share, ...], Meta(max_length=MOST)]


@final
class Input(Message, frozen=True, kw_only=True):
    """A masked input's commitment, and the digests of its segments."""

    commitment: Commitment
    segments: Annotated[tuple[Hash, ...], Meta(max_length=SEGMENTS)]


@final
class Survivors(Message, frozen=True, kw_only=True):
    """The commitments of those whose inputs are in, in the order of names."""

    commitments: Annotated[tuple[Commitment, ...], Meta(max_length=MOST)]


@final
class Agreed(Message, frozen=True, kw_only=True):
    """Enough agreements, in the order of names."""

    agreements: Annotated[tuple[Agreement, ...], Meta(max_length=MOST)]


FromSite: TypeAlias = Advertise | Sharing | Input | Agreement | Opening
ToSite: TypeAlias = Advertised | Shared | Survivors | Agreed
AnyMessage: TypeAlias = FromSite | ToSite

S = TypeVar("S", bound=Signed)

_DECODER = msgspec.json.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """The message's one encoding."""
    return canonical(message)


def decode(data: bytes) -> AnyMessage:
    """The message; raises DecodeError for bytes that `encode` does not make."""
    if len(data) > LONGEST:
        raise DecodeError(f"a message of a secure sum has at most {LONGEST} bytes, not {len(data)}")
    try:
        message = _DECODER.decode(data)
        same = encode(message) == data
    except (msgspec.MsgspecError, ComityError, ValueError, RecursionError) as error:
        raise DecodeError(f"this is no message of a secure sum: {error}") from error
    if not same:
        raise DecodeError("a message of a secure sum is not in its canonical form")
    return message


def signed(message: S, identity: Identity) -> S:
    """The message with its sender's signature."""
    return structs.replace(message, signature=identity.sign("sum", _unsigned(message)))


def check(message: Signed, terms: Terms) -> None:
    """Raises DecodeError unless the message is of this session and its sender's organization signed it."""
    check_session(message, terms)
    terms.keys(message.sender).verify("sum", _unsigned(message), message.signature)


def check_session(message: Message, terms: Terms) -> None:
    """Raises DecodeError for a message of another session."""
    if message.session != terms.session:
        raise DecodeError(f"a message of another secure sum, {message.session}, came to {terms.session}")


def digest_of(*messages: Signed) -> Digest:
    """What a list of messages is known by."""
    return digest(canonical(messages))


def _unsigned(message: Signed) -> bytes:
    return encode(structs.replace(message, signature=b""))
