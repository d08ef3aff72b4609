"""The feed of a page that is kept as it is at the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response, StreamingResponse

from comity.faces.web.headers import UNKEPT
from comity.faces.web.visit import Visit
from comity.values.errors import ComityError


async def live(visit: Visit) -> Response:
    """Say whenever there is something new: of one plan, if it is named, else of the channel."""
    feed, given = visit.feeds.of(visit.call.part.following), visit.query.get("size", "")
    size = int(given) if given.isascii() and given.isdigit() and len(given) < 16 else None

    async def still() -> object:
        return await asyncio.to_thread(visit.call.api.accounts.authenticate_session, visit.cookie)

    async def said() -> AsyncGenerator[str]:
        try:
            async with aclosing(feed.words(visit.query.get("plan", ""), size, still)) as words:
                async for each in words:
                    yield each
        except ComityError:
            return  # the session has ended

    headers = {**UNKEPT, "x-accel-buffering": "no", "x-content-type-options": "nosniff"}
    return StreamingResponse(said(), headers=headers, media_type="text/event-stream")
