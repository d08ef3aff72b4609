"""The playground among a node's pages: it is loaded when somebody first looks at it, so that nodes start without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TypeAlias, final

from starlette.requests import Request
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from comity.faces.playground.limits import Limits
from comity.faces.web.frame import Frame
from comity.faces.web.rendering import Rendering

Framed: TypeAlias = Callable[[Request], Awaitable[Frame]]
"""What is around a page, for whoever asks for it."""

NICE = 5
"""How far runs stand back behind the node and its tasks."""


def route(rendering: Rendering, framed: Framed, limits: Limits) -> Route:
    """All addresses at and below `/playground`."""
    return Route("/playground{below:path}", _Visited(rendering, framed, limits), name="playground")


@final
class _Visited:
    """An ASGI application that is made by its first request."""

    def __init__(self, rendering: Rendering, framed: Framed, limits: Limits) -> None:
        self._given = (rendering, framed, limits)
        self._router: Router | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._router is None:
            module = await asyncio.to_thread(import_module, "comity.faces.playground.routes")
            self._router = self._router or Router(module.Playground(*self._given, nice=NICE).routes())
        await self._router(scope, receive, send)
