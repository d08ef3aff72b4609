"""The hub's one port: entries in their order, mail and parcels on their way, and joining."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from sqlalchemy import Connection

from comity.hub import entries, mail, news, parcels
from comity.hub.hub import Hub, answer, refusal
from comity.values.errors import ComityError

SWEEP = 3600.0
"""Seconds between two looks for what nobody fetched."""


def app(hub: Hub, ready: Callable[[], None]) -> FastAPI:
    """The hub as an ASGI application; `ready` is called when it begins to answer."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await hub.ordering.begin()
        tasks = [asyncio.create_task(hub.ordering.run()), asyncio.create_task(_sweep(hub))]
        ready()
        yield
        for task in tasks:
            task.cancel()

    made = FastAPI(title="comity hub", lifespan=lifespan)
    made.state.hub = hub
    made.add_exception_handler(ComityError, refusal)
    made.add_api_route("/live", _live, methods=["GET"])
    made.add_api_route("/join", entries.join, methods=["POST"])
    made.add_api_route("/entries", entries.entries, methods=["POST"])
    made.add_api_route("/lost", entries.lost, methods=["POST"])
    made.add_api_route("/news", news.news, methods=["GET"])
    made.add_api_route("/mail", mail.post, methods=["POST"])
    made.add_api_route("/presence", news.presence, methods=["GET"])
    made.add_api_route("/parcels/{parcel}", parcels.received, methods=["GET"])
    made.add_api_route("/parcels/{parcel}", parcels.announce, methods=["POST"])
    made.add_api_route("/parcels/{parcel}", parcels.acknowledge, methods=["DELETE"])
    made.add_api_route("/parcels/{parcel}/bytes", parcels.upload, methods=["PUT"])
    made.add_api_route("/parcels/{parcel}/bytes", parcels.download, methods=["GET"])
    return made


def expire(hub: Hub) -> None:
    """Forget mail and parcels that nobody fetched in time."""

    def forget(connection: Connection) -> None:
        mail.expire(connection, hub.clock() - hub.limits.letter_age)
        parcels.expire(connection, hub.spool, hub.clock() - hub.limits.parcel_age)

    hub.database.write(forget)


async def _sweep(hub: Hub) -> None:
    while True:
        await asyncio.to_thread(expire, hub)
        await asyncio.sleep(SWEEP)


async def _live(request: Request) -> Response:
    return answer({"live": True})
