"""A channel at a glance: its organizations, when each was heard of, and how their tasks stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import msgspec
from sqlalchemy import func, select

from comity.adapters.sql import schema
from comity.adapters.sql.log import Log
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization, Task, need
from comity.node.node import Part
from comity.node.outbox import Outbox
from comity.values.errors import ComityError

SILENT = 45_000
"""Milliseconds: a node that is there asks for news every 20 seconds at least."""


@final
@dataclass(frozen=True, kw_only=True)
class Member:
    """An organization as the channel sees it."""

    organization: str
    status: str
    connected: bool | None
    """None when this node cannot ask the hub."""
    last_seen: int
    """Milliseconds since 1970, by the hub's clock, when its node last called the hub; 0 when this is not known."""
    version: str
    sandbox: str
    """How well its node holds tasks in; empty when this is not known."""
    entries: int | None
    """Of the log that its node had when the hub last heard of it; None when this is not known."""
    seen: int
    """Entries of the log that it last said it had verified. A hub that shows it another log than this has to withhold
    its entries here for ever: it then falls silent."""
    last_entry: int
    """Milliseconds since 1970 of its last entry, 0 when there is none."""
    tasks: dict[str, int]
    """At its node, by status."""


@final
class Present(msgspec.Struct, frozen=True):
    """What the hub says of an organization."""

    last_seen: int
    version: str
    sandbox: str = ""
    entries: int | None = None
    letters: int | None = None
    parcels: int | None = None
    parcel_bytes: int | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Glance:
    """A channel, and what is on its way from and to this node."""

    members: list[Member]
    """By name."""
    outbox: int
    """What this node has still to say."""
    letters: int | None
    """That wait for it at the hub; None when this node cannot ask the hub."""
    parcels: int | None
    """Of its own, that others have not fetched from the hub."""
    parcel_bytes: int | None


NEVER = Present(0, "")

_PRESENT = msgspec.json.Decoder(dict[str, Present])


async def glance(part: Part) -> Glance:
    """The channel as it stands."""
    present = await _present(part)
    me = part.following.organization
    now = present[me].last_seen if me in present else 0  # the hub's clock, as of this question

    own = present.get(me, NEVER)

    def found(log: Log) -> Glance:
        tasks = _tasks(log)
        every = sorted(log.records.search(Organization, {})[1], key=lambda each: each.key)
        founder = need(log.records, Channel, CHANNEL).founder
        members = [
            Member(
                organization=each.key,
                status=each.status,
                connected=now - present.get(each.key, NEVER).last_seen < SILENT if present else None,
                last_seen=present.get(each.key, NEVER).last_seen,
                version=present.get(each.key, NEVER).version,
                sandbox=present.get(each.key, NEVER).sandbox,
                entries=present.get(each.key, NEVER).entries,
                seen=each.seen,
                last_entry=each.ordered_at,
                tasks=tasks.get(each.key, {}),
            )
            for each in every
            if each.key != founder
        ]
        return Glance(
            members=members,
            outbox=Outbox(log.channel).pending(log.connection),
            letters=own.letters,
            parcels=own.parcels,
            parcel_bytes=own.parcel_bytes,
        )

    return await part.following.read(found)


async def _present(part: Part) -> dict[str, Present]:
    try:
        return _PRESENT.decode(await part.following.link.call("GET", "/presence", seconds=5))
    except (ComityError, msgspec.MsgspecError, UnicodeError):
        return {}


def _tasks(log: Log) -> dict[str, dict[str, int]]:
    table = schema.records[Task]
    query = (
        select(table.c.worker, table.c.status, func.count())
        .where(table.c.channel == log.channel)
        .group_by(table.c.worker, table.c.status)
    )
    made: dict[str, dict[str, int]] = {}
    for worker, status, count in log.connection.execute(query):
        made.setdefault(worker, {})[status] = count
    return made
