"""Blobs of released models, until they are deleted here: remembered by the transaction that learns of the release.

What names a blob, and so keeps it: records of this organization's own, in any channel; what other organizations have
sent and still name; what waits to be said. Another's record is no reason to keep a blob that did not come from there,
or a member could have its peers keep what they have released.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, or_, select

from comity.adapters.sql import schema as log_schema
from comity.adapters.sql.log import Log
from comity.adapters.sql.records import upsert
from comity.domain import sums
from comity.domain.entry import Statement
from comity.domain.events import OutputsReleased
from comity.domain.records import Dataset, Function, Model, Record, need
from comity.node import schema

NAMES: Sequence[tuple[type[Record], Sequence[str]]] = (
    (Model, ("blob",)),
    (Function, ("archive", "description")),
    (Dataset, ("opener", "description")),
)
"""Records that name blobs, and where."""

_MODELS = log_schema.records[Model]

_DUE = (
    select(_MODELS.c.key)
    .where(_MODELS.c.channel == bindparam("channel"), _MODELS.c.due == bindparam("owner"))
    .order_by(_MODELS.c.created_at, _MODELS.c.key)
    .limit(bindparam("most"))
)


def note(log: Log, organization: str, said: Iterable[Statement]) -> bool:
    """Remember what was released, and whether there is something to do: that, or models that are due."""
    found = False
    for event in (event for statement in said for event in statement.events if isinstance(event, OutputsReleased)):
        for model in (need(log.records, Model, key) for key in event.models):
            if model.owner == organization or _came(log.connection, log.channel, model.owner, model.released):
                remember(log.connection, log.channel, model.owner, model.released)
                found = True
    return found or bool(due(log, organization, 1))


def due(log: Log, organization: str, most: int) -> list[str]:
    """Models that the organization is to release, so many at most."""
    asked = {"channel": log.channel, "owner": organization, "most": most}
    return list(log.connection.execute(_DUE, asked).scalars())


def remember(connection: Connection, channel: int, owner: str, blob: str) -> None:
    """The owner's blob is to be deleted unless something names it."""
    upsert(connection, schema.released, [{"channel": channel, "owner": owner, "blob": blob}])


def remembered(connection: Connection, channel: int, most: int) -> list[tuple[str, str]]:
    """(owner, blob) of what is to be deleted, so many at most."""
    table = schema.released
    query = select(table.c.owner, table.c.blob).where(table.c.channel == channel)
    return [
        (row.owner, row.blob) for row in connection.execute(query.order_by(table.c.owner, table.c.blob).limit(most))
    ]


def forget(connection: Connection, channel: int, owner: str, blob: str) -> None:
    """It was deleted, or is kept."""
    table = schema.released
    here = (table.c.channel == channel) & (table.c.owner == owner) & (table.c.blob == blob)
    connection.execute(delete(table).where(here))


def named(connection: Connection, channel: int, owner: str, blob: str) -> bool:
    """Whether a record of the owner's, in this channel, names the blob."""
    for kind, fields in NAMES:
        table = log_schema.records[kind]
        here = (table.c.channel == channel) & or_(*(table.c[field] == blob for field in fields))
        if connection.execute(select(table.c.key).where(here, table.c.owner == owner).limit(1)).first() is not None:
            return True
    return False


def needed(connection: Connection, blob: str) -> bool:
    """Whether anything at this node names the blob."""
    if blob in sums.BLOBS:
        return True
    held, joined, outbox = schema.held, schema.joined, schema.outbox
    if connection.execute(select(held.c.owner).where(held.c.blob == blob).limit(1)).first() is not None:
        return True
    own = connection.execute(select(joined.c.channel, joined.c.organization)).all()
    if any(named(connection, channel, organization, blob) for channel, organization in own):
        return True
    return any(blob.encode() in events for events in connection.execute(select(outbox.c.events)).scalars())


def _came(connection: Connection, channel: int, owner: str, blob: str) -> bool:
    table = schema.held
    here = (table.c.channel == channel) & (table.c.owner == owner) & (table.c.blob == blob)
    return connection.execute(select(table.c.blob).where(here)).first() is not None
