"""The playground's addresses, for a node's application or one of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from comity.faces.playground.data_sets import load
from comity.faces.playground.experiment import dealt as dealt_to
from comity.faces.playground.leaving import unless_gone
from comity.faces.playground.limits import Limits
from comity.faces.playground.page import as_far_as_it_applies, dealt, drawn, form
from comity.faces.playground.picture import picture
from comity.faces.playground.query import LETTERS, LONGEST, settings_from
from comity.faces.playground.results import Results
from comity.faces.playground.running import Runs
from comity.faces.playground.script import script_of
from comity.faces.playground.settings import Settings
from comity.faces.playground.visited import Framed
from comity.faces.playground.workers import Workers
from comity.faces.web.headers import HEADERS
from comity.faces.web.rendering import Rendering
from comity.faces.web.session import check_origin
from comity.values.errors import ComityError, Forbidden, InvalidInput, Unavailable

KEPT = {"cache-control": "private, max-age=3600"}
"""Of what follows from the address alone."""


@final
class Playground:
    """The playground of one program: its pages, and the processes that train for them."""

    def __init__(self, rendering: Rendering, framed: Framed, limits: Limits, *, nice: int = 0) -> None:
        self.workers = Workers(limits.processes, nice=nice)
        self._rendering = rendering
        self._framed = framed
        self._runs = Runs(self.workers, limits)
        self._warming: asyncio.Task[None] | None = None

    def routes(self) -> Sequence[Route]:
        """All addresses, below `/playground`."""
        return [
            Route("/playground", self._show, methods=["GET"], name="playground"),
            Route("/playground", self._run_at_once, methods=["POST"]),
            Route("/playground/run", self._run, methods=["GET"]),
            Route("/playground/dealt", self._dealt, methods=["GET"]),
            Route("/playground/samples/{letter}.png", self._samples, methods=["GET"]),
            Route("/playground/script.py", self._script, methods=["GET"]),
        ]

    async def _show(self, request: Request) -> Response:
        """The page, at the settings of the query."""
        try:
            return await self._page(request, settings_from(_query(request)))
        except ComityError as error:
            return await self._page(request, Settings(), why=str(error), status=400)

    async def _run_at_once(self, request: Request) -> Response:
        """The page with the final result, for a browser without scripts."""
        settings = Settings()
        try:
            check_origin(request)
            settings = settings_from(await _sent(request))
            results = await unless_gone(request.receive, self._final(settings, _address(request)))
        except ComityError as error:
            return await self._page(request, settings, why=str(error), status=_status(error))
        if results is None:
            return Response(status_code=499)  # nobody reads it
        return await self._page(request, settings, results)

    async def _run(self, request: Request) -> Response:
        """Server-sent events: `drawn` with the results so far, `refused` with why there are no further ones, `end`."""
        try:
            check_origin(request)
        except Forbidden as error:
            return PlainTextResponse(str(error), 403, headers=dict(HEADERS))
        return _Events(partial(self._tell, _query(request), _address(request)))

    async def _dealt(self, request: Request) -> Response:
        """What hospitals get of the settings of the query, or why they cannot."""
        try:
            return JSONResponse(dealt(as_far_as_it_applies(_query(request))))
        except ComityError as error:
            return JSONResponse({"error": str(error)})

    async def _samples(self, request: Request) -> Response:
        """What one hospital is dealt under the first seed, as a picture; who looks at it will soon run something."""
        try:
            settings = settings_from(_query(request))
        except ComityError as error:
            return PlainTextResponse(str(error), 400, headers=dict(HEADERS))
        letter = request.path_params["letter"]
        if letter not in LETTERS[: len(settings.hospitals)]:
            return PlainTextResponse("there is no such hospital among these", 404, headers=dict(HEADERS))
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm())
        body = await asyncio.to_thread(_picture, settings, LETTERS.index(letter))
        return Response(body, media_type="image/png", headers={**HEADERS, **KEPT})

    async def _script(self, request: Request) -> Response:
        """The experiment as code."""
        try:
            body = script_of(settings_from(_query(request)))
        except ComityError as error:
            return PlainTextResponse(str(error), 400, headers=dict(HEADERS))
        named = {"content-disposition": 'attachment; filename="playground.py"'}
        return Response(body, media_type="text/x-python; charset=utf-8", headers={**HEADERS, **named})

    async def _page(
        self, request: Request, settings: Settings, results: Results | None = None, *, why: str = "", status: int = 200
    ) -> Response:
        context = {**form(settings), "why": why, **(drawn(results) if results else {"results": None})}
        return await self._rendering.page("playground.html", await self._framed(request), context, status=status)

    async def _final(self, settings: Settings, address: str) -> Results:
        final = Results(settings=settings)
        async with self._runs.begin(settings, address) as running:
            async for results in running.updates():
                final = results
        return final

    async def _tell(self, query: str, address: str, say: Callable[[str, Mapping[str, Any]], Awaitable[None]]) -> None:
        try:
            async with self._runs.begin(settings_from(query), address) as running:
                async for results in running.updates():
                    await say("drawn", await asyncio.to_thread(self._drawn, results))
            await say("end", {})
        except ComityError as error:
            await say("refused", {"why": str(error)})

    def _drawn(self, results: Results) -> Mapping[str, Any]:
        made = drawn(results)
        return {
            "html": self._rendering.part("playground_results.html", made),
            "done": results.rounds_done,
            "planned": results.rounds_planned,
            "said": made["paragraphs"][:1],
        }

    async def _warm(self) -> None:
        with suppress(Unavailable):
            await self.workers.start()


@final
class _Events(Response):
    """A stream of server-sent events that ends when the client leaves."""

    def __init__(self, tell: Callable[[Callable[[str, Mapping[str, Any]], Awaitable[None]]], Any]) -> None:
        Response.__init__(self, headers={**HEADERS, "cache-control": "no-store", "x-accel-buffering": "no"})
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        headers.append((b"content-type", b"text/event-stream; charset=utf-8"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def say(event: str, data: Mapping[str, Any]) -> None:
            body = f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})

        await unless_gone(receive, self._tell(say))
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _picture(settings: Settings, at: int) -> bytes:
    rows, _ = load(settings.data)
    return picture(dealt_to(settings, rows, seed=settings.seed)[at].train)


async def _sent(request: Request) -> str:
    """The query that a form has sent as its body."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST:
            raise InvalidInput("this form is longer than an experiment's")
    return body.decode("ascii", "replace")


def _query(request: Request) -> str:
    return request.scope["query_string"].decode("ascii", "replace")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _status(error: ComityError) -> int:
    return 503 if isinstance(error, Unavailable) else 403 if isinstance(error, Forbidden) else 400
