"""The playground by itself: one process on this machine, without a node."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from comity.adapters.bounded_http import protocols
from comity.faces.playground.limits import Limits
from comity.faces.playground.places import STATIC, TEMPLATES
from comity.faces.playground.routes import Playground
from comity.faces.web.frame import THEME, Frame, theme_of
from comity.faces.web.headers import HEADERS
from comity.faces.web.pages.theme import CHOICES, YEAR
from comity.faces.web.rendering import HERE, Rendering
from comity.faces.web.session import check_origin, set_cookie, within
from comity.faces.web.statics import Statics

GRACE = 1
"""Seconds that open requests get when it is ended."""


def application(limits: Limits) -> tuple[Starlette, Playground]:
    """(the application, its playground)"""
    rendering = Rendering(Statics(HERE / "static", STATIC), templates=(TEMPLATES,))
    playground = Playground(rendering, _framed, limits)
    routes = [
        Route("/", _home, methods=["GET"]),
        Route("/theme", _theme, methods=["POST"]),
        Route("/static/{digest}/{name}", rendering.statics.serve),
        *playground.routes(),
    ]
    return Starlette(routes=routes), playground


def serve(listening: socket.socket, limits: Limits, *, ready: Callable[[], None]) -> None:
    """Serve until a signal ends it; `ready` is called once a run would begin at once."""
    with suppress(KeyboardInterrupt):  # which is how one ends it
        asyncio.run(_serve(listening, limits, ready))


async def _serve(listening: socket.socket, limits: Limits, ready: Callable[[], None]) -> None:
    made, playground = application(limits)
    config = uvicorn.Config(
        made,
        http=protocols(),
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE,
    )
    warming = asyncio.create_task(_warm(playground, ready))
    try:
        await uvicorn.Server(config).serve(sockets=[listening])
    finally:
        warming.cancel()
        await playground.workers.stop()


async def _warm(playground: Playground, ready: Callable[[], None]) -> None:
    await playground.workers.start()
    ready()


async def _framed(request: Request) -> Frame:
    return Frame(path=request.url.path, query=request.url.query, theme=theme_of(request.cookies))


async def _home(request: Request) -> Response:
    return RedirectResponse("/playground", 303, headers=dict(HEADERS))


async def _theme(request: Request) -> Response:
    """Keep how pages look in the browser, and go back."""
    check_origin(request)
    given = parse_qs((await request.body())[:4096].decode("ascii", "replace"))
    made = RedirectResponse(within(given.get("next", [""])[0], "/playground"), 303, headers=dict(HEADERS))
    chosen = given.get("theme", [""])[0]
    if chosen in CHOICES:
        set_cookie(made, request, name=THEME, value=chosen, seconds=YEAR)
    return made
