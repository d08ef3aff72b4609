"""Letters between nodes, which the hub relays and cannot read.

A letter is sealed to its recipient by HPKE, whose context names channel, sender and recipient, and the sealed
form is signed by its sender, since HPKE does not say who sealed.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, final

import msgspec
from msgspec import Meta

from comity.domain.entry import canonical
from comity.domain.words import BlobDigest, Key
from comity.values.errors import DecodeError
from comity.values.keys import Identity, PublicKeys, from_base64, to_base64

Holds: TypeAlias = Literal["model", "archive", "function description", "opener", "dataset description"]
"""What a blob is of an asset."""

Held: TypeAlias = Holds | Literal["masked input"]
"""Or, in pieces, what a site gives to the masked sum of a task."""


class Letter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=str):
    """One message from a node to another."""


@final
class Wanted(Letter, frozen=True, kw_only=True, tag="wanted"):
    """The sender needs a blob that the recipient has."""

    blob: BlobDigest
    holds: Held
    asset: Key
    refused: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?\Z")] = ""
    """A parcel that came and was not this blob."""


@final
class Sent(Letter, frozen=True, kw_only=True, tag="sent"):
    """A blob is on its way as a parcel."""

    blob: BlobDigest
    parcel: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    size: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    """Bytes of the blob itself."""
    key: str
    """The parcel's content key, base64."""
    task: Annotated[str, Meta(max_length=36)] = ""
    """Whose output it is, for those who have not asked for it."""


@final
class Denied(Letter, frozen=True, kw_only=True, tag="denied"):
    """The sender does not give the blob, and why."""

    blob: BlobDigest
    reason: Annotated[str, Meta(max_length=1000)]


@final
class LogWanted(Letter, frozen=True, kw_only=True, tag="log_wanted"):
    """The sender wants to read the log of a task that failed."""

    task: Key


@final
class LogSent(Letter, frozen=True, kw_only=True, tag="log_sent"):
    """The log is on its way as a parcel, which nobody keeps."""

    task: Key
    parcel: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    size: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    key: str


@final
class LogDenied(Letter, frozen=True, kw_only=True, tag="log_denied"):
    """The sender does not give the log, and why."""

    task: Key
    reason: Annotated[str, Meta(max_length=1000)]
    missing: bool = False
    """Whether it has none, rather than that the recipient may not read it."""


@final
class SumLetter(Letter, frozen=True, kw_only=True, tag="sum"):
    """What a party of a masked sum says to another."""

    task: Key
    """That gathers."""
    message: Annotated[str, Meta(max_length=1 << 21)] = ""
    """In its one encoding (`comity.privacy.messages`); empty to ask for what the recipient said last."""


LogLetter: TypeAlias = LogWanted | LogSent | LogDenied

AnyLetter: TypeAlias = Wanted | Sent | Denied | LogWanted | LogSent | LogDenied | SumLetter


@final
class Envelope(msgspec.Struct, frozen=True):
    """A letter as the hub relays it."""

    sealed: str
    signature: str


_LETTER = msgspec.json.Decoder(AnyLetter)
_ENVELOPE = msgspec.json.Decoder(Envelope)


def seal(letter: AnyLetter, identity: Identity, to: PublicKeys, context: bytes) -> str:
    """The letter in its envelope."""
    sealed = to.seal(canonical(letter), context)
    signature = identity.sign("mail", context + sealed)
    return canonical(Envelope(to_base64(sealed), to_base64(signature))).decode()


def open_letter(body: str, identity: Identity, sender: PublicKeys, context: bytes) -> AnyLetter:
    """The letter; raises DecodeError unless this sender wrote it, to this recipient, in this channel."""
    try:
        envelope = _ENVELOPE.decode(body)
        sealed = from_base64(envelope.sealed)
        sender.verify("mail", context + sealed, from_base64(envelope.signature, 64))
        return _LETTER.decode(identity.open(sealed, context))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"this is no letter: {error}") from error


def context(channel: str, sender: str, recipient: str) -> bytes:
    """What binds a letter to its way."""
    return canonical({"channel": channel, "sender": sender, "recipient": recipient})
