"""Answers to those who only read: one thing, a page of things, a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse

from comity.domain.letter import Holds
from comity.domain.records import Plan, Record, need
from comity.node.fetching import fetch
from comity.node.rest.call import Call, Endpoint, answer
from comity.node.rest.pages import Listing, listed, page_of
from comity.node.rest.render import View

R = TypeVar("R", bound=Record)

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"


def one(kind: type[R], write: Callable[[View, R], Any]) -> Endpoint:
    """An endpoint that shows the thing with the key in the path."""

    async def show(call: Call) -> Response:
        return answer(await call.read(lambda view: write(view, need(view.records, kind, call.key))))

    return show


def several(listing: Listing[R]) -> Endpoint:
    """An endpoint that shows a page of a list."""

    async def show(call: Call) -> Response:
        count, results = await call.read(lambda view: listed(view, listing, call.parameters))
        return call.paged(page_of(call.parameters, listing.size), count, results)

    return show


def within_plan(listing: Listing[R]) -> Endpoint:
    """An endpoint that shows a page of what a list holds of the plan with the key in the path."""

    async def show(call: Call) -> Response:
        given = {**call.parameters, "compute_plan_key": call.key}

        def work(view: View) -> tuple[int, list[Any]]:
            need(view.records, Plan, call.key)
            return listed(view, listing, given)

        count, results = await call.read(work)
        return call.paged(page_of(given, listing.size), count, results)

    return show


def file(holds: Holds, *, name: str, media: str) -> Endpoint:
    """An endpoint that gives a blob of the thing with the key in the path; 410 when it was released."""

    async def give(call: Call) -> Response:
        fetched = await fetch(call.part, holds, call.key)
        if fetched is None:
            return answer(
                {"detail": f"the {holds} {call.key} was released: it was transient and is needed no more"}, 410
            )
        blob, size = fetched
        headers = {
            "content-length": str(size),
            "content-disposition": f'attachment; filename="{name}"',
            "x-content-type-options": "nosniff",
        }
        return StreamingResponse(call.part.exchange.blobs.open(blob), headers=headers, media_type=media)

    return give
