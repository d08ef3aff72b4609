"""Routes by which nodes learn: what a node has not seen yet, and who was here."""

from __future__ import annotations

import asyncio
import time
from typing import Any, final

import msgspec
from fastapi import Request, Response
from sqlalchemy import Connection, func, select

from comity.adapters.sql.log import Delivery
from comity.domain.presence import read_agent
from comity.hub import mail, schema
from comity.hub.callers import Caller, called
from comity.hub.hub import Hub, answer, hub_of, number
from comity.hub.mail import Letter

LONGEST_WAIT = 25.0
"""Seconds that a request for news is held; proxies often cut at 30."""

LOOK = 0.5
"""Seconds after which a waiting request looks whether the hub is about to end."""

MOST = 2000
"""Entries in one answer."""


@final
class News(msgspec.Struct, frozen=True):
    """What a node has not seen yet."""

    deliveries: list[Delivery]
    size: int
    """Of the whole log."""
    checkpoint: str
    """Of the log with these deliveries, signed by the hub: a node keeps nothing that the hub has not signed."""
    mail: list[Letter]


async def news(request: Request) -> Response:
    """What is new from entry `from` and letter `after` on, as soon as there is something, or after `wait`.

    The caller needs no letter up to `mail` any more.
    """
    hub = hub_of(request)
    caller, _ = await called(request)
    start, letter = number(request, "from"), number(request, "mail")
    deadline = time.monotonic() + min(number(request, "wait") / 1000, LONGEST_WAIT)
    hub.presence[caller.channel, caller.organization].entries = start
    await hub.ordering.heard(caller.channel, caller.organization, start)
    await mail.forget(hub, caller, letter)
    after = max(letter, number(request, "after"))
    return answer(await _awaited(hub, caller, start, after, deadline=deadline))


async def presence(request: Request) -> Response:
    """When each organization of the channel called last, and as whom; of the caller also what is on its way."""
    hub = hub_of(request)
    caller, _ = await called(request)
    shown: dict[str, dict[str, Any]] = {}
    for (channel, name), each in hub.presence.items():
        if channel == caller.channel:
            version, sandbox = read_agent(each.agent)
            shown[name] = {"last_seen": each.seen, "version": version, "sandbox": sandbox, "entries": each.entries}
    shown[caller.organization] |= await hub.database.aread(lambda connection: _on_the_way(connection, caller))
    return answer(shown)


async def _awaited(hub: Hub, caller: Caller, start: int, letter: int, *, deadline: float) -> News:
    fresh, made = True, News([], 0, "", [])
    while True:
        left = deadline - time.monotonic()
        looking = hub.ordering.grown(caller.channel, caller.organization, min(LOOK, max(0.0, left)))
        grown = asyncio.ensure_future(looking)
        if fresh:
            made = await hub.database.aread(lambda connection: _news(hub, connection, caller, start, letter))
        if made.deliveries or made.mail or left <= 0 or hub.stopping():
            grown.cancel()
            return made
        fresh = await grown


def _on_the_way(connection: Connection, caller: Caller) -> dict[str, int]:
    """Letters that wait for the caller, and its own parcels that others have not fetched."""
    letters, sent = schema.mail, schema.parcels
    waiting = (letters.c.channel == caller.channel) & (letters.c.recipient == caller.organization)
    own = (sent.c.channel == caller.channel) & (sent.c.sender == caller.organization)
    query = select(func.count(), func.coalesce(func.sum(sent.c.size), 0)).where(own)
    parcels, size = connection.execute(query).one()
    count = connection.execute(select(func.count()).select_from(letters).where(waiting)).scalar_one()
    return {"letters": count, "parcels": parcels, "parcel_bytes": size}


def _news(hub: Hub, connection: Connection, caller: Caller, start: int, letter: int) -> News:
    most = hub.limits.news_bytes
    found, size, checkpoint = hub.ordering.news(
        connection, caller.channel, caller.digest, start=start, limit=MOST, most_bytes=most
    )
    return News(found, size, checkpoint, mail.waiting(connection, caller, letter, most_bytes=most))
