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


_NAMED = select(
    or_(
        *(
            select(table.c.key)
            .where(table.c.channel == bindparam("of"), table.c.owner == bindparam("by"))
            .where(or_(*(table.c[field] == bindparam("blob") for field in fields)))
            .exists()
            for table, fields in ((log_schema.records[kind], fields) for kind, fields in NAMES)
        )
    )
)

_HELD = select(schema.held.c.owner).where(schema.held.c.blob == bindparam("blob")).limit(1)

_CAME = select(schema.held.c.blob).where(
    schema.held.c.channel == bindparam("of"),
    schema.held.c.owner == bindparam("by"),
    schema.held.c.blob == bindparam("blob"),
)

_OWN = select(schema.joined.c.channel, schema.joined.c.organization)

_SAID = select(schema.outbox.c.events)

_FORGET = delete(schema.released).where(
    schema.released.c.channel == bindparam("of"),
    schema.released.c.owner == bindparam("by"),
    schema.released.c.blob == bindparam("named"),
)


def note(log: Log, organization: str, said: Iterable[Statement]) -> bool:
    """Remember what was released, and whether there is something to do: that, or models that are due."""
    found = False
    for event in (event for statement in said for event in statement.events if isinstance(event, OutputsReleased)):
        for model in (need(log.records, Model, key) for key in event.models):
            if model.owner == organization or came(log.connection, log.channel, model.owner, model.released):
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
    connection.execute(_FORGET, {"of": channel, "by": owner, "named": blob})


def named(connection: Connection, channel: int, owner: str, blob: str) -> bool:
    """Whether a record of the owner's, in this channel, names the blob."""
    return bool(connection.execute(_NAMED, {"of": channel, "by": owner, "blob": blob}).scalar_one())


def needed(connection: Connection, blob: str) -> bool:
    """Whether anything at this node names the blob."""
    if blob in sums.BLOBS:
        return True
    if connection.execute(_HELD, {"blob": blob}).first() is not None:
        return True
    own = connection.execute(_OWN).all()
    if any(named(connection, channel, organization, blob) for channel, organization in own):
        return True
    return any(blob.encode() in events for events in connection.execute(_SAID).scalars())


def came(connection: Connection, channel: int, owner: str, blob: str) -> bool:
    """Whether its owner has sent the blob in this channel."""
    return connection.execute(_CAME, {"of": channel, "by": owner, "blob": blob}).first() is not None
