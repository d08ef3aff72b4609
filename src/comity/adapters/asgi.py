"""Routes of an application whose endpoints read their requests themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from starlette.routing import Route


def add(app: FastAPI, method: str, path: str, answer: Callable[[Request], Awaitable[Response]]) -> None:
    """Have the application answer what is asked by a method at a path.

    FastAPI's own routes look into what an endpoint takes and leaves: a thousandth of a second for each of them at every
    start, and some of every answer, for endpoints that take a request and leave a response.
    """
    route = Route(path, answer, methods=[method], name=f"{method} {path}")
    route.methods = {method}  # and no HEAD beside a GET
    app.router.routes.append(route)
