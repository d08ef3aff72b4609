"""The pages of a node, put into its application beside the API.

No page has an address of the API's, and none is given for a token; so that whoever speaks the API never gets HTML, with
one exception that needs no page: what is not there is told to a browser, which asks for `text/html`, in words.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as Asgi

from comity.adapters import asgi
from comity.faces.playground import visited
from comity.faces.playground.limits import Limits
from comity.faces.playground.places import STATIC, TEMPLATES
from comity.faces.web.frame import Frame
from comity.faces.web.headers import HEADERS, UNKEPT
from comity.faces.web.live import Feeds
from comity.faces.web.rendering import HERE, Rendering
from comity.faces.web.routes import ROUTES, Route
from comity.faces.web.session import check_origin, cookie_name
from comity.faces.web.sharing import Shared
from comity.faces.web.statics import Statics
from comity.faces.web.visit import Visit, to
from comity.node.accounts.people import Principal
from comity.node.accounts.roles import Right
from comity.node.rest.app import status_of
from comity.node.rest.bodies import form
from comity.node.rest.call import Api, Call
from comity.values.errors import ComityError, Unauthenticated

Visiting: TypeAlias = Callable[[Request], Visit]
"""Makes the visit of one who is not known yet."""

LIVE = "comity-live"
"""The header by which an open page asks for its live parts: the number of the word that it was told."""

LARGEST_FORM = 1 << 20
"""Bytes of a form that is sent."""


def dress(made: Starlette, api: Api, playground: Limits = Limits()) -> None:  # noqa: B008 frozen
    """Add the pages to a node's application."""
    played = playground.enabled
    statics = Statics(HERE / "static", *([STATIC] if played else []))
    rendering = Rendering(statics, templates=(TEMPLATES,) if played else (), playground=played)
    feeds, shared = Feeds(), Shared()

    def visiting(request: Request) -> Visit:
        return Visit(_call(api, request), rendering, feeds)

    made.router.routes.append(Asgi("/static/{digest}/{name}", rendering.statics.serve, name="static"))
    for route in ROUTES:
        endpoint = _answering(route, visiting, shared)
        made.router.routes.append(Asgi(route.path, endpoint, methods=[route.method], name=f"page {route.path}"))
    if played:
        made.router.routes.append(visited.route(rendering, _framed(visiting), playground))
    made.add_exception_handler(HTTPException, _absent(visiting))


def _framed(visiting: Visiting) -> visited.Framed:
    """What is around the playground, which anyone may see."""

    async def framed(request: Request) -> Frame:
        visit = visiting(request)
        cookie = request.cookies.get(cookie_name(visit.call.api), "")
        who = await _caller(visit.call.api, cookie) if cookie else None
        return await replace(visit, call=replace(visit.call, caller=who), cookie=cookie).frame()

    return framed


def _call(api: Api, request: Request) -> Call:
    return Call(api, request, None, request.stream())


def _answering(route: Route, visiting: Visiting, shared: Shared) -> Callable[[Request], Awaitable[Response]]:
    async def asked(request: Request) -> Response:
        visit = visiting(request)
        try:
            visit = await _admitted(visit, route)
            word = request.headers.get(LIVE, "") if route.live else ""
            made = await (_live(visit, route, shared, word) if word else route.endpoint(visit))
        except ComityError as error:
            made = await _refused(visit, error)
        except Exception:
            structlog.get_logger().error("a page failed", path=route.path, reason=traceback.format_exc())
            made = await _failed(visit)
        visit.call.api.requests.labels(route.method, route.path, made.status_code).inc()
        return made

    return asked


async def _live(visit: Visit, route: Route, shared: Shared, word: str) -> Response:
    """The parts of the page that follow what happens, as they were when this word was said, or later."""
    feed, who = visit.feeds.of(visit.call.part.following), visit.call.principal
    url = visit.call.request.url
    own = who.user if route.live == "own" else ""
    key = (who.channel, who.rights, own, visit.call.base, url.path, url.query)
    visit = replace(visit, live=True)

    async def make() -> bytes:
        return bytes((await route.endpoint(visit)).body)

    asked = int(word) if word.isascii() and word.isdigit() and len(word) < 16 else feed.word + 1
    body = await shared.give(key, make, asked=asked, now=feed.word)
    return HTMLResponse(body, headers={**HEADERS, **UNKEPT})


async def _admitted(visit: Visit, route: Route) -> Visit:
    """The visit of one who may make it; raises Unauthenticated, Forbidden."""
    api, request = visit.call.api, visit.call.request
    cookie = request.cookies.get(cookie_name(api), "")
    who = await _caller(api, cookie) if cookie else None
    if route.needs != "anyone" and who is None:
        raise Unauthenticated("log in to see this page")
    if isinstance(route.needs, Right) and who is not None:
        who.require(route.needs)
    call = replace(visit.call, caller=who)
    if route.method == "GET":
        return replace(visit, call=call, cookie=cookie)
    check_origin(request)
    given = {name: ",".join(values) for name, values in form(await call.body(LARGEST_FORM)).items()}
    if who is not None and route.needs != "anyone":
        api.accounts.check_csrf(cookie, given.get("csrf", ""))
    return replace(visit, call=call, cookie=cookie, form=given)


async def _caller(api: Api, cookie: str) -> Principal | None:
    try:
        return await asyncio.to_thread(api.accounts.authenticate_session, cookie)
    except Unauthenticated:
        return None


async def _refused(visit: Visit, error: ComityError) -> Response:
    """The page that says why; whoever is not logged in may do that, and comes back."""
    request = visit.call.request
    if isinstance(error, Unauthenticated):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return to(f"/login?next={quote(target, safe='')}" if request.method == "GET" else "/login")
    status, _ = status_of(error)
    return await visit.show_anyone("error.html", {"status": status, "reason": str(error)}, status=status)


async def _failed(visit: Visit) -> Response:
    reason = "the page could not be made; the node's log says why"
    return await visit.show_anyone("error.html", {"status": 500, "reason": reason}, status=500)


def _absent(visiting: Visiting) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code != 404 or "text/html" not in request.headers.get("accept", ""):
            return await asgi.refused(request, error)
        visit = visiting(request)
        reason = f"there is no page {request.url.path[:200]}; it may have had another address"
        return await visit.show_anyone("error.html", {"status": 404, "reason": reason}, status=404)

    return answer
