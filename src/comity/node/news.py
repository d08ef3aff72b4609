"""What a hub sends, and how a node checks it."""

from __future__ import annotations

from typing import final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import delete, select

from comity.adapters.sql.log import Delivery, Log
from comity.adapters.sql.records import upsert
from comity.adapters.sql.schema import checkpoints
from comity.domain.entry import Statement
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel
from comity.ledger.checkpoint import open_checkpoint
from comity.values.errors import DecodeError
from comity.values.keys import from_base64, to_base64


@final
class Mail(msgspec.Struct, frozen=True):
    """A letter as it came."""

    id: int
    sender: str
    body: str


@final
class News(msgspec.Struct, frozen=True):
    """What the hub has that this node has not."""

    deliveries: list[Delivery]
    size: int
    """Of the hub's log."""
    checkpoint: str
    """Of it, signed by the hub."""
    mail: list[Mail]


@final
class Lost(msgspec.Struct, frozen=True):
    """What a hub has lost that this node still has, and once was signed by it."""

    deliveries: list[Delivery]
    checkpoint: str
    proof: list[str]
    """That the hub's log with these entries is a prefix of the one it signed, base64."""


_NEWS = msgspec.json.Decoder(News)


def read_news(body: bytes) -> News:
    """The news; raises DecodeError."""
    try:
        return _NEWS.decode(body)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise DecodeError(f"the hub's news cannot be read: {error}") from error


def apply_news(log: Log, channel: str, news: News) -> list[Statement]:
    """Append what came, hold it against the hub's signed checkpoint, and keep that; the statements that are new.

    Raises what the rules raise and DecodeError for a hub that shows another history than before: evidence of a
    breach, after which nothing it sends can be trusted.
    """
    made = [log.append(bytes(delivery.leaf), delivery.texts) for delivery in news.deliveries]
    here = log.records.get(Channel, CHANNEL)
    if here is None or here.digest != channel:
        raise DecodeError(f"the hub sent the channel {here.digest if here else 'none'} for {channel}")
    key = Ed25519PublicKey.from_public_bytes(from_base64(here.hub, 32))
    checkpoint = open_checkpoint(news.checkpoint, channel, key)
    if checkpoint.origin != channel or checkpoint.size != news.size:
        raise DecodeError("the hub's checkpoint is of another log than its news")
    if checkpoint.size > log.size:
        return made  # more is to come, and is compared then
    if checkpoint.root != log.tree.root(checkpoint.size):
        raise DecodeError(f"the hub signed two histories: of {checkpoint.size} entries it now shows others than before")
    if checkpoint.size == log.size:
        log.connection.execute(delete(checkpoints).where(checkpoints.c.channel == log.channel))
        row = {"channel": log.channel, "size": checkpoint.size, "note": news.checkpoint}
        upsert(log.connection, checkpoints, [row])
    return made


def lost(log: Log, start: int, most: int) -> Lost | None:
    """What a hub that has only `start` entries has to be given back; None when it never signed more."""
    table = checkpoints
    row = log.connection.execute(select(table).where(table.c.channel == log.channel)).first()
    if row is None or row.size <= start:
        return None
    given = log.deliveries(start, min(most, row.size - start))
    proof = log.tree.consistency(start + len(given), row.size)
    return Lost(given, row.note, [to_base64(each) for each in proof])
