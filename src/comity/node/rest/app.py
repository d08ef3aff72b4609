"""The node's REST API as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from comity.adapters import asgi
from comity.adapters.clock import now
from comity.adapters.disk import is_full
from comity.node.accounts.accounts import Accounts
from comity.node.accounts.people import Principal
from comity.node.accounts.roles import Right
from comity.node.node import Node
from comity.node.rest.call import Api, Call, answer
from comity.node.rest.described import described
from comity.node.rest.repeats import HEADER, Repeats
from comity.node.rest.routes import ROUTES, Route
from comity.values.errors import (
    ComityError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotSupported,
    Unauthenticated,
    Unavailable,
)

ERRORS: Sequence[tuple[type[ComityError], int, str]] = (
    (Unauthenticated, 401, ""),
    (Forbidden, 403, "OE0102"),
    (NotFound, 404, "OE0002"),
    (Conflict, 409, "OE0006"),
    (Unavailable, 503, ""),
    (NotSupported, 501, "OE0010"),
    (InvalidInput, 400, "OE0003"),
)
"""Status and Substra's code of each kind of error, for those whose message does not begin with one."""

Dress: TypeAlias = Callable[[Starlette, Api], None]
"""What gives the application further routes beside the API's: a node knows nothing of pages."""


def bare(made: Starlette, api: Api) -> None:
    """No further routes."""


def app(
    node: Node,
    accounts: Accounts,
    *,
    folder: Path,
    sample_roots: Sequence[Path] = (),
    clock: Callable[[], int] = now,
    dress: Dress = bare,
) -> Starlette:
    """The API of a node, and whatever `dress` adds. Uploads are received below `folder`, and uploaded data samples stay
    there.

    Data samples may be registered in place below the folders of `sample_roots`.
    """
    registry = CollectorRegistry()
    requests = Counter("comity_http_requests", "Requests answered.", ["method", "path", "status"], registry=registry)
    api = Api(node, accounts, folder, tuple(sample_roots), clock, registry, requests)
    repeats = Repeats(node.database, clock)
    made = asgi.application()
    made.state.openapi = described
    for route in ROUTES:
        asgi.add(made, route.method, route.path, _answering(api, route, repeats))
    dress(made, api)
    return made


def _answering(api: Api, route: Route, repeats: Repeats) -> Callable[[Request], Awaitable[Response]]:
    async def done(call: Call) -> Response:
        try:
            return await route.endpoint(call)
        except ComityError as error:
            return refusal(error)
        except OSError as error:
            if not is_full(error):
                raise
            return answer({"detail": f"this node has no room left: {error}; ask who operates it"}, 507)

    async def asked(request: Request) -> Response:
        try:
            call = Call(api, request, await _caller(api, route, request), request.stream())
            key = request.headers.get(HEADER)
            made = await (done(call) if key is None or not route.repeats else repeats.once(call, key, done))
        except ComityError as error:
            made = refusal(error)
        api.requests.labels(route.method, route.path, made.status_code).inc()
        return made

    return asked


async def _caller(api: Api, route: Route, request: Request) -> Principal | None:
    """Who calls; raises Unauthenticated, or Forbidden without the right that the route needs."""
    given = request.headers.get("authorization", "")
    if route.needs == "anyone" or (route.needs == "anyone or user" and not given):
        return None
    kind, _, secret = given.partition(" ")
    if kind.lower() not in ("token", "bearer") or not secret:
        raise Unauthenticated("Authentication credentials were not provided.")
    principal = await asyncio.to_thread(api.accounts.authenticate, secret.strip())
    if isinstance(route.needs, Right):
        principal.require(route.needs)
    return principal


def status_of(error: ComityError) -> tuple[int, str]:
    """(the status of an error in HTTP, Substra's code of it)"""
    return next(((status, code) for kind, status, code in ERRORS if isinstance(error, kind)), (400, "OE0003"))


def refusal(error: ComityError) -> Response:
    """What an error is in HTTP."""
    status, code = status_of(error)
    detail = str(error)
    made = answer({"detail": detail if not code or detail.startswith("OE") else f"{code}: {detail}"}, status)
    if status == 401:
        made.headers["www-authenticate"] = "Token"
    return made
