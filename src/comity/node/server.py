"""A node as a program."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
import uvloop

from comity.adapters import arenas, folder, logs
from comity.adapters.bounded_http import protocols
from comity.adapters.sql.log import Log
from comity.domain.entry import RULES
from comity.domain.events import RulesSupported
from comity.domain.records import Organization
from comity.node.node import Node, running
from comity.node.place import Place
from comity.node.rest.app import Dress, app, bare
from comity.node.rotating import check_whole
from comity.node.way import Way

LARGE = 4 << 20
"""Bytes of memory that is not kept; pieces of parcels, which come and go, have fewer."""

GRACE = 1
"""Seconds that open requests get when the node is stopped."""


def serve(place: Place, listening: socket.socket, way: Way, *, ready: Callable[[], None], dress: Dress = bare) -> None:
    """Serve until a signal ends it; `ready` is called once each channel is known, and a write of this node in it.

    `dress` gives the application further routes, such as those of pages.
    """
    logs.configure(way.log_level)
    arenas.limit(large=LARGE)
    with folder.lock(place.folder):
        check_whole(place)
        uvloop.run(_serve(place, listening, way, ready=ready, dress=dress))
    place.database.close()


async def _serve(place: Place, listening: socket.socket, way: Way, *, ready: Callable[[], None], dress: Dress) -> None:
    async with running(place, way) as node:
        made = app(node, place.accounts, folder=place.folder, sample_roots=way.sample_roots, dress=dress)
        config = uvicorn.Config(
            made,
            http=protocols(),
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GRACE,
        )
        greeting = asyncio.create_task(_greet(node, ready))
        await uvicorn.Server(config).serve(sockets=[listening])
        greeting.cancel()


async def _greet(node: Node, ready: Callable[[], None]) -> None:
    """Say in each channel which rules this node knows, unless it has said so; the first time shows it can write."""
    for part in node.parts.values():
        await part.following.caught_up()
        known = await part.following.read(lambda log, name=part.following.organization: _known(log, name))
        if known is None or known.rules != RULES or not known.sequence:
            await part.following.insist([RulesSupported(version=RULES)], {})
    ready()


def _known(log: Log, organization: str) -> Organization | None:
    return log.records.get(Organization, organization)
