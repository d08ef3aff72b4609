"""The hub as a program."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from comity.adapters import arenas, logs
from comity.adapters.bounded_http import protocols
from comity.hub import desk
from comity.hub.app import app
from comity.hub.hub import hub
from comity.hub.limits import Limits
from comity.hub.place import Place, locked

LARGE = 128 << 10
"""Bytes of memory that is not kept: each connection has more than that for a stream, and few have one."""

GRACE = 2
"""Seconds that open requests get when the hub is stopped; nodes ask again."""


def serve(place: Place, listening: socket.socket, *, ready: Callable[[], None], limits: Limits, log_level: int) -> None:
    """Serve until a signal ends it; `ready` is called once requests are answered."""
    logs.configure(log_level)
    arenas.limit(large=LARGE)
    with locked(place):
        made = hub(place.database, place.identity.signing, place.founder, place.folder, limits)
        orders = desk.listen(place.folder)
        taking: list[asyncio.Task[None]] = []

        def begin() -> None:
            taking.append(asyncio.ensure_future(desk.serve(place, made.ordering, orders)))
            ready()

        config = uvicorn.Config(
            app(made, begin),
            loop="uvloop",
            http=protocols(),
            log_level="warning",
            access_log=False,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.certificate_key,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=75,
        )
        server = uvicorn.Server(config)
        made.stopping = lambda: server.should_exit
        server.run(sockets=[listening])
    place.database.close()
