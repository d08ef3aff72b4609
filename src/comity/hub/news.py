"""Routes by which nodes learn: what a node has not seen yet, and who was here."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, final

import msgspec
from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response

from comity.adapters.sql.log import Delivery
from comity.domain.presence import read_agent
from comity.hub import mail, schema
from comity.hub.callers import Caller, called
from comity.hub.hub import Hub, answer, hub_of, number
from comity.hub.mail import Letter
from comity.hub.ordering import LINGER
from comity.hub.recall import Page

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
    start, had = number(request, "from"), number(request, "mail")
    after = max(had, number(request, "after"))
    deadline = time.monotonic() + min(number(request, "wait") / 1000, LONGEST_WAIT)
    hub.presence[caller.channel, caller.organization].entries = start
    await hub.ordering.heard(caller.channel, caller.organization, start)
    told = hub.ordering.concerns(caller.channel, caller.organization, start)
    while True:
        growing = hub.ordering.growing(caller.channel, caller.organization)  # first, to miss nothing while it looks
        made = await _look(hub, caller, start, after)
        mail.forget(hub, caller, had)
        if made.mail or (made.deliveries and told):
            return answer(made)
        if made.deliveries:  # nothing for it to do, which waits a moment for what may come
            deadline = min(deadline, time.monotonic() + LINGER)
        if not await _grown(hub, growing, deadline):
            return answer(made)
        told = True


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


async def _grown(hub: Hub, growing: asyncio.Event, deadline: float) -> bool:
    """Whether there may be more news, as soon as there may be; False when there is no more time for it."""
    while not growing.is_set():
        left = deadline - time.monotonic()
        if left <= 0 or hub.stopping():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(min(LOOK, left)):
                await growing.wait()
    return True


async def _look(hub: Hub, caller: Caller, start: int, after: int) -> News:
    """What is new now; nothing is read that is recalled, and anything else at once."""
    spot, box = hub.recall.spot(caller.channel, start), hub.recall.box(caller.channel, caller.organization)
    most, letters = hub.limits.news_bytes, None

    def read_mail(connection: Connection) -> list[Letter]:
        return mail.waiting(connection, caller, box, after, most_bytes=most)

    def read(connection: Connection) -> tuple[Page, list[Letter]]:
        place = (connection, caller.channel, caller.digest)
        return hub.ordering.page(*place, start=start, limit=MOST, most_bytes=most), read_mail(connection)

    if (page := spot.page) is None:
        async with spot.reading:
            if (page := spot.page) is None:
                page, letters = await hub.database.aread(read)
                hub.recall.keep(caller.channel, start, spot, page)
    if letters is None:
        letters = await hub.database.aread(read_mail) if box.last > after else []
    return News(page.deliveries, page.size, page.checkpoint, letters)


def _on_the_way(connection: Connection, caller: Caller) -> dict[str, int]:
    """Letters that wait for the caller, and its own parcels that others have not fetched."""
    letters, sent = schema.mail, schema.parcels
    waiting = (letters.c.channel == caller.channel) & (letters.c.recipient == caller.organization)
    own = (sent.c.channel == caller.channel) & (sent.c.sender == caller.organization)
    query = select(func.count(), func.coalesce(func.sum(sent.c.size), 0)).where(own)
    parcels, size = connection.execute(query).one()
    count = connection.execute(select(func.count()).select_from(letters).where(waiting)).scalar_one()
    return {"letters": count, "parcels": parcels, "parcel_bytes": size}
