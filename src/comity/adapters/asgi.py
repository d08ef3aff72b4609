"""Applications whose endpoints read their requests themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def application(lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None) -> Starlette:
    """An application without routes, which says in JSON that something is not there."""
    return Starlette(lifespan=lifespan, exception_handlers={HTTPException: refused})


async def refused(request: Request, error: Exception) -> Response:
    """The answer to what has no route, or none by this method."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)


def add(app: Starlette, method: str, path: str, answer: Callable[[Request], Awaitable[Response]]) -> None:
    """Have the application answer what is asked by a method at a path."""
    route = Route(path, answer, methods=[method], name=f"{method} {path}")
    route.methods = {method}  # and no HEAD beside a GET
    app.router.routes.append(route)
