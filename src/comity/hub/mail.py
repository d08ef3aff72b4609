"""Mail on its way between nodes: small sealed letters, kept until their recipient has them."""

from __future__ import annotations

from typing import final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select
from starlette.requests import Request
from starlette.responses import Response

from comity.hub import schema
from comity.hub.callers import Caller, called, member
from comity.hub.hub import Hub, answer, decoded, hub_of
from comity.hub.limits import Limits, check_bytes
from comity.hub.recall import NEVER, Box
from comity.values.errors import Forbidden, Unavailable

MOST = 200
"""Letters in one answer."""


@final
class Letter(msgspec.Struct, frozen=True):
    """Mail as it is delivered."""

    id: int
    sender: str
    body: str


@final
class Posted(msgspec.Struct, frozen=True):
    """Mail as it is sent."""

    recipient: str
    body: str


async def post(request: Request) -> Response:
    """Keep a letter for another member of the channel."""
    hub = hub_of(request)
    caller, body = await called(request, hub.limits.body_bytes)
    posted = decoded(body, Posted)
    check_bytes(len(posted.body.encode()), hub.limits.letter_bytes, "a letter")
    at = hub.clock()
    await hub.ordering.write(
        lambda connection: keep(connection, caller, posted, limits=hub.limits, at=at),
        lambda: hub.ordering.wake_recipient(caller.channel, posted.recipient),
    )
    return answer({})


def keep(connection: Connection, caller: Caller, posted: Posted, *, limits: Limits, at: int) -> None:
    """Raises Forbidden for a recipient that is no member, Unavailable when too much mail waits for it."""
    table = schema.mail
    if member(connection, caller.channel, posted.recipient) is None:
        raise Forbidden(f"{posted.recipient} is not a member of this channel")
    here = (table.c.channel == caller.channel) & (table.c.recipient == posted.recipient)
    mine = select(func.count()).where(here, table.c.sender == caller.organization)
    if connection.execute(mine).scalar_one() >= limits.letters:
        raise Unavailable(f"{limits.letters} letters of {caller.organization} wait for {posted.recipient}; try later")
    # Readers remember the last number: none is used again, not even by a hub that was restored from a backup.
    last = connection.execute(select(func.max(table.c.id)).where(here)).scalar() or 0
    row = {"id": max(last + 1, at), "sender": caller.organization, "recipient": posted.recipient}
    connection.execute(insert(table).values(channel=caller.channel, body=posted.body.encode(), **row))


def waiting(connection: Connection, caller: Caller, box: Box, after: int, *, most_bytes: int) -> list[Letter]:
    """The caller's letters after the last that it has; nothing is read when its box says that there are none."""
    if box.last <= after:
        return []
    table = schema.mail
    here = (table.c.channel == caller.channel) & (table.c.recipient == caller.organization)
    ids = select(table.c.id).where(here).limit(1)
    first = connection.execute(ids.order_by(table.c.id)).scalar()
    last = connection.execute(ids.order_by(table.c.id.desc())).scalar()
    box.first, box.last = (NEVER, 0) if first is None or last is None else (first, last)
    made: list[Letter] = []
    size = 0
    for row in connection.execute(select(table).where(here, table.c.id > after).order_by(table.c.id).limit(MOST)):
        made.append(Letter(row.id, row.sender, row.body.decode()))
        size += len(row.body)
        if size > most_bytes:
            break
    return made


async def forget(hub: Hub, caller: Caller, last: int) -> None:
    """The caller has its letters up to this one, which stays, so that its number is not used again."""
    box = hub.recall.box(caller.channel, caller.organization)
    if box.first >= last:
        return
    table = schema.mail
    here = (table.c.channel == caller.channel) & (table.c.recipient == caller.organization) & (table.c.id < last)
    await hub.database.awrite(lambda connection: connection.execute(delete(table).where(here)))
    box.first = last


def expire(connection: Connection, before: int) -> None:
    """Forget letters that were posted before a time and never fetched."""
    connection.execute(delete(schema.mail).where(schema.mail.c.id < before))
