"""What a hub sends, and how a node checks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, bindparam, select, update

from comity.adapters.sql.log import Delivery, Log
from comity.adapters.sql.records import upsert
from comity.adapters.sql.schema import checkpoints
from comity.domain.entry import RULES, Statement
from comity.domain.events import Count
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization
from comity.ledger.checkpoint import open_checkpoint
from comity.node import schema
from comity.values.errors import DecodeError, Forbidden, NotSupported, Unavailable
from comity.values.keys import PublicKeys, from_base64


@final
class Mail(msgspec.Struct, frozen=True):
    """A letter as it came."""

    id: Count
    sender: str
    body: str


@final
class News(msgspec.Struct, frozen=True):
    """What the hub has that this node has not."""

    deliveries: list[Delivery]
    size: Count
    """Of the hub's log."""
    checkpoint: str
    """Of the log with these deliveries, signed by the hub."""
    mail: list[Mail]


_NEWS = msgspec.json.Decoder(News)

_RENEW = (
    update(checkpoints)
    .where(checkpoints.c.channel == bindparam("of"))
    .values(size=bindparam("verified"), note=bindparam("signed"))
)


@final
@dataclass(frozen=True)
class Evidence:
    """What a hub said that it must not say."""

    reason: str
    answer: bytes
    """Its news, byte for byte, with the leaves and the checkpoint as they were signed. What they contradict is the log
    that this node holds, and the hub's last checkpoint of it."""


@final
@dataclass(frozen=True)
class Member:
    """Who follows which channel, and by which keys."""

    channel: str
    organization: str
    keys: PublicKeys


def read_news(body: bytes) -> News:
    """The news; raises Unavailable for anything else, which may be a proxy's page as well as a hub's fault."""
    try:
        return _NEWS.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Unavailable(f"the hub's news cannot be read: {error}") from error


def apply_news(log: Log, me: Member, news: News) -> list[Statement]:
    """Append what came, hold it against the hub's signed checkpoint, and keep that; the statements that are new.

    Raises what the rules raise and DecodeError for a hub that shows another history than before, or one that it has
    not signed: evidence of a breach, after which nothing it sends can be trusted. Raises Unavailable for texts that
    are withheld, NotSupported once the channel goes by later rules, of which this node could not sign anything either.
    """
    made = [log.append(bytes(delivery.leaf), delivery.texts) for delivery in news.deliveries]
    here = log.records.get(Channel, CHANNEL)
    if here is None or here.digest != me.channel:
        raise DecodeError(f"the hub sent the channel {here.digest if here else 'none'} for {me.channel}")
    if here.rules > RULES:
        raise NotSupported(
            f"the channel goes by version {here.rules} of the rules; upgrade comity, which knows {RULES}"
        )
    _check_signed(log, news, here)
    if news.size == log.size:
        _check_own_keys(log, me)
        if text := log.withheld():
            raise Unavailable(f"the hub withholds the text {text}, which nobody has deleted")
    return made


def keep_evidence(connection: Connection, channel: int, evidence: Evidence) -> None:
    """Keep what shows a breach."""
    row = {"channel": channel, "reason": evidence.reason, "answer": evidence.answer}
    upsert(connection, schema.evidence, [row])


def evidence(connection: Connection, channel: int) -> Evidence | None:
    """What showed a breach, if there was one."""
    table = schema.evidence
    found = connection.execute(select(table).where(table.c.channel == channel)).first()
    return None if found is None else Evidence(found.reason, found.answer)


def _check_signed(log: Log, news: News, here: Channel) -> None:
    """What was sent, and nothing else, is what the hub has signed; so a fork leaves two signatures behind."""
    key = Ed25519PublicKey.from_public_bytes(from_base64(here.hub, 32))
    checkpoint = open_checkpoint(news.checkpoint, here.digest, key)
    size = log.size if news.deliveries else min(news.size, log.size)
    if checkpoint.origin != here.digest or checkpoint.size != size or news.size < size:
        raise DecodeError(
            f"the hub's checkpoint is of {checkpoint.size} entries of {checkpoint.origin}; what it sent are {size} of "
            f"{here.digest}, of {news.size} in all"
        )
    if checkpoint.root != log.tree.root(size):
        raise DecodeError(f"the hub signed two histories: of {size} entries it now shows others than before")
    if size == log.size:
        row = {"of": log.channel, "verified": size, "signed": news.checkpoint}
        if not log.connection.execute(_RENEW, row).rowcount:
            upsert(log.connection, checkpoints, [{"channel": log.channel, "size": size, "note": news.checkpoint}])


def _check_own_keys(log: Log, me: Member) -> None:
    found = log.records.get(Organization, me.organization)
    if found is not None and found.status == "member" and found.keys != me.keys:
        raise Forbidden(
            f"the log has the key {found.keys.signing} for {me.organization}, this node's is {me.keys.signing}: "
            "another was admitted in its name, or its keys were replaced elsewhere"
        )
