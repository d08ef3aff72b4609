"""The hub's one port: entries in their order, mail and parcels on their way, and joining."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from comity.adapters import asgi
from comity.adapters.disk import is_full
from comity.hub import mail, parcels
from comity.hub.hub import Hub, refusal
from comity.hub.routes import ROUTES, Route, described
from comity.values.errors import ComityError, Unavailable

SWEEP = 3600.0
"""Seconds between two looks for what nobody fetched."""


def app(hub: Hub, ready: Callable[[], None]) -> Starlette:
    """The hub as an ASGI application; `ready` is called when it begins to answer."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await hub.ordering.begin()
        tasks = [asyncio.create_task(hub.ordering.run()), asyncio.create_task(_sweep(hub))]
        ready()
        yield
        for task in tasks:
            task.cancel()

    made = asgi.application(lifespan)
    made.state.openapi = cache(described)
    made.state.hub = hub
    made.state.registry = registry = CollectorRegistry()
    requests = Counter("comity_hub_requests", "Requests answered.", ["method", "path", "status"], registry=registry)
    for route in ROUTES:
        asgi.add(made, route.method, route.path, _answering(route, requests))
    return made


def _answering(route: Route, requests: Counter) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        try:
            made = await route.endpoint(request)
        except ComityError as error:
            made = refusal(error)
        except OSError as error:
            if not is_full(error):
                raise
            made = refusal(Unavailable(f"the hub's disk has no room left ({error}); try later, or give it more room"))
        requests.labels(route.method, route.path, made.status_code).inc()
        return made

    return call


def expire(hub: Hub) -> None:
    """Forget mail and parcels that nobody fetched in time."""

    def forget(connection: Connection) -> None:
        mail.expire(connection, hub.clock() - hub.limits.letter_age)
        parcels.expire(connection, hub.spool, hub.clock() - hub.limits.parcel_age)

    hub.database.write(forget)


async def _sweep(hub: Hub) -> None:
    while True:
        with suppress(Unavailable):  # no room for that now
            await asyncio.to_thread(expire, hub)
        await asyncio.sleep(SWEEP)
