"""Routes of the log: joining, entries to be ordered, and entries that a restored hub has lost."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from comity.domain.entry import Entry, read_entries
from comity.domain.joining import Join, read_join
from comity.hub.callers import Caller, called, channel_number, read_body
from comity.hub.hub import Hub, answer, decoded, hub_of
from comity.hub.ordering import Lost
from comity.values.errors import ComityError, Forbidden


async def join(request: Request) -> Response:
    """Let in an organization that shows the secret of its invitation."""
    hub = hub_of(request)
    asked = read_join(await read_body(request, hub.limits.join_bytes))
    # Anyone may send this: the one writer is only asked for what is going to be granted.
    channel = await hub.database.aread(lambda connection: _invited(hub, connection, asked))
    hub.ordering.check_compared(channel)
    await hub.ordering.write(
        lambda connection: hub.founder.admit(connection, channel, asked), lambda: hub.ordering.wake(channel)
    )
    return answer({"joined": asked.organization})


async def entries(request: Request) -> Response:
    """Give entries their places; each has an outcome, up to the first that is refused."""
    hub = hub_of(request)
    caller, body = await called(request, hub.limits.body_bytes)
    outcomes: list[dict[str, Any]] = []
    for entry in read_entries(body):
        try:
            outcomes.append({"place": await _placed(hub, caller, entry)})
        except ComityError as error:
            outcomes.append({"error": type(error).__name__, "detail": str(error)})
            break  # those behind it name it as their predecessor
    return answer(outcomes)


async def lost(request: Request) -> Response:
    """A node gives back what this hub once signed and has no more, since it was restored from a backup."""
    hub = hub_of(request)
    caller, body = await called(request, hub.limits.lost_bytes)
    await hub.ordering.take_back(caller.channel, caller.digest, decoded(body, Lost))
    return answer({})


def _invited(hub: Hub, connection: Connection, asked: Join) -> int:
    channel = channel_number(connection, asked.channel)
    if channel is None:
        raise Forbidden(f"this token invites nobody called {asked.organization}; ask for a new one")
    hub.founder.check(connection, channel, asked)
    return channel


async def _placed(hub: Hub, caller: Caller, entry: Entry) -> int:
    size = len(bytes(entry.statement)) + sum(len(salt) + len(text) for salt, text in entry.texts.values())
    hub.minutes.add((caller.channel, caller.organization), size, now=hub.clock())
    return await hub.ordering.place(caller.channel, entry)
