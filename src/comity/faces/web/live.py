"""Tells open pages that something has happened, by server-sent events; what it was they ask for as they did before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import contextmanager
from typing import Any, final

from sqlalchemy import func, select

from comity.adapters.sql import schema
from comity.domain.records import Plan, Task
from comity.node.rest.render import View

BEAT = 20.0
"""Seconds of silence after which a word is said, so that a connection that is gone is noticed."""

PACE, EACH = 1.0, 0.05
"""Seconds between two words to one page at least, and for how many pages that grows: a node is not there to draw."""


@final
class Streams:
    """The open pages of a node."""

    def __init__(self) -> None:
        self._open = 0

    @contextmanager
    def counted(self) -> Any:
        """One more, for as long as it lasts."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @property
    def pace(self) -> float:
        """Seconds between two words to a page."""
        return max(PACE, EACH * self._open)


async def events(
    streams: Streams, changed: asyncio.Event, state: Callable[[], Awaitable[object]]
) -> AsyncGenerator[str]:
    """The stream of one page: a word whenever its state is another than before. `state` raises when it is to end."""
    with streams.counted():
        yield "retry: 3000\n\n"
        before = await state()
        while True:
            try:
                async with asyncio.timeout(BEAT):
                    await changed.wait()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            changed.clear()
            now = await state()
            if now != before:
                before = now
                yield "event: changed\ndata:\n\n"
                await asyncio.sleep(streams.pace)


def state_of(view: View, plan: str) -> object:
    """What a page's content follows from: a plan and its tasks, or the whole log."""
    if not plan:
        return view.log.size
    table = schema.records[Task]
    tasks = select(func.count(), func.sum(table.c.started_at), func.sum(table.c.ended_at)).where(
        table.c.channel == view.log.channel, table.c.plan == plan
    )
    return view.records.get(Plan, plan), tuple(view.log.connection.execute(tasks).one())
