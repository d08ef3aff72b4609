"""Mail on its way between nodes: small sealed letters, kept until their recipient has them."""

from __future__ import annotations

from typing import final

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select
from starlette.requests import Request
from starlette.responses import Response

from comity.adapters.sql.log import Log
from comity.hub import schema
from comity.hub.callers import Caller, called, member
from comity.hub.hub import Hub, answer, decoded, hub_of
from comity.hub.limits import Limits, check_bytes
from comity.hub.recall import NEVER, Box
from comity.values.errors import Forbidden, Unavailable

MOST = 200
"""Letters in one answer."""

_MAIL = schema.mail.c

_HERE = (_MAIL.channel == bindparam("of")) & (_MAIL.recipient == bindparam("to"))

_FIRST = select(func.min(_MAIL.id)).where(_HERE).scalar_subquery()

_LAST = select(func.max(_MAIL.id)).where(_HERE).scalar_subquery()

_ENDS = select(_FIRST.label("first"), _LAST.label("last"))
"""Each a look into the index; asked for both at once, SQLite reads all rows."""

_COUNT = select(
    select(func.count()).where(_HERE, _MAIL.sender == bindparam("by")).scalar_subquery().label("mine"),
    _LAST.label("last"),
)

_WAITING = select(schema.mail).where(_HERE, _MAIL.id > bindparam("after")).order_by(_MAIL.id).limit(MOST)

_FORGET = delete(schema.mail).where(_HERE, _MAIL.id < bindparam("before"))

_INSERT = insert(schema.mail)


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
        lambda connection: keep(hub.ordering.log(connection, caller.channel), caller, posted, limits=hub.limits, at=at),
        lambda: hub.ordering.wake_recipient(caller.channel, posted.recipient),
    )
    return answer({})


def keep(log: Log, caller: Caller, posted: Posted, *, limits: Limits, at: int) -> None:
    """Raises Forbidden for a recipient that is no member, Unavailable when too much mail waits for it."""
    if member(log, posted.recipient) is None:
        raise Forbidden(f"{posted.recipient} is not a member of this channel")
    given = {"of": caller.channel, "to": posted.recipient, "by": caller.organization}
    mine, last = log.connection.execute(_COUNT, given).one()
    if mine >= limits.letters:
        raise Unavailable(f"{limits.letters} letters of {caller.organization} wait for {posted.recipient}; try later")
    # Readers remember the last number: none is used again, not even by a hub that was restored from a backup.
    row = {"id": max((last or 0) + 1, at), "sender": caller.organization, "recipient": posted.recipient}
    log.connection.execute(_INSERT, {"channel": caller.channel, "body": posted.body.encode(), **row})


def waiting(connection: Connection, caller: Caller, box: Box, after: int, *, most_bytes: int) -> list[Letter]:
    """The caller's letters after the last that it has; nothing is read when its box says that there are none."""
    if box.last <= after:
        return []
    given = {"of": caller.channel, "to": caller.organization, "after": after}
    first, last = connection.execute(_ENDS, given).one()
    box.first, box.last = (NEVER, 0) if first is None or last is None else (first, last)
    made: list[Letter] = []
    size = 0
    for row in connection.execute(_WAITING, given):
        made.append(Letter(row.id, row.sender, row.body.decode()))
        size += len(row.body)
        if size > most_bytes:
            break
    return made


def forget(hub: Hub, caller: Caller, last: int) -> None:
    """The caller has its letters up to this one, which stays, so that its number is not used again."""
    box = hub.recall.box(caller.channel, caller.organization)
    if box.first >= last:
        return
    given = {"of": caller.channel, "to": caller.organization, "before": last}
    hub.database.put_off(lambda connection: connection.execute(_FORGET, given))
    box.first = last


def expire(connection: Connection, before: int) -> None:
    """Forget letters that were posted before a time and never fetched."""
    connection.execute(delete(schema.mail).where(schema.mail.c.id < before))
