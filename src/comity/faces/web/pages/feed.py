"""The feed of a page that is kept as it is at the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.responses import Response, StreamingResponse

from comity.faces.web.headers import UNKEPT
from comity.faces.web.live import events, state_of
from comity.faces.web.visit import Visit
from comity.values.errors import ComityError


async def live(visit: Visit) -> Response:
    """Say whenever there is something new: of one plan, if it is named, else of the channel."""
    following, plan = visit.call.part.following, visit.query.get("plan", "")

    async def state() -> object:
        await asyncio.to_thread(visit.call.api.accounts.authenticate_session, visit.cookie)
        return await visit.call.read(lambda view: state_of(view, plan))

    async def said() -> AsyncGenerator[str]:
        changed = following.watch()
        try:
            async for each in events(visit.streams, changed, state):
                yield each
        except ComityError:
            return  # the session has ended
        finally:
            following.unwatch(changed)

    headers = {**UNKEPT, "x-accel-buffering": "no", "x-content-type-options": "nosniff"}
    return StreamingResponse(said(), headers=headers, media_type="text/event-stream")
