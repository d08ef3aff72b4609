"""Tells open pages that something has happened, by server-sent events; what it was they ask for themselves.

All pages of a channel are told in the same moment, so that what they then ask for is made once for all of them
(`comity.faces.web.sharing`): each word has a number, and what was begun after a word holds what the word was about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import final

import structlog
from sqlalchemy import func, select

from comity.adapters.sql import schema
from comity.adapters.sql.log import Log
from comity.domain.records import Plan, Task
from comity.node.following import Following

BEAT = 20.0
"""Seconds after which a session is looked at again, and a word is said: a connection that is gone is noticed by it."""

PACE, EACH = 1.0, 0.03
"""Seconds between two words at least, and for how many pages that grows: a node is not there to draw."""


AGAIN = 60.0
"""Seconds after which all pages are told, whatever has happened: what they say of times, and of nodes that are away,
follows from no entry."""


@final
class Feed:
    """Of one channel: who listens to what of it, and the words that are said."""

    def __init__(
        self, following: Following, *, pace: float = PACE, each: float = EACH, beat: float = BEAT, again: float = AGAIN
    ) -> None:
        self.word = 0
        """The number of the last word."""
        self._following = following
        self._pace, self._each, self._beat, self._again = pace, each, beat, again
        self._listening: dict[str, set[asyncio.Event]] = {}
        self._states: dict[str, object] = {}
        self._saying: asyncio.Task[None] | None = None

    @property
    def pace(self) -> float:
        """Seconds between two words."""
        return max(self._pace, self._each * sum(map(len, self._listening.values())))

    async def words(self, plan: str, size: int | None, still: Callable[[], Awaitable[object]]) -> AsyncGenerator[str]:
        """The stream of one page about a plan, or about the channel where none is named.

        size: entries of the log when the page was made; when there are more by now, it is told so at once. `still`
        raises when the stream is to end.
        """
        told = asyncio.Event()
        self._listening.setdefault(plan, set()).add(told)
        if self._saying is None or self._saying.done():
            self._saying = asyncio.create_task(self._say())
        try:
            yield "retry: 3000\n\n"
            before = self.word
            entries, state = await self._following.read(lambda log: (log.size, self._state(log, plan)))
            self._states.setdefault(plan, state)
            if size not in (None, entries) or self.word != before:
                yield said(self.word + 1)
            async for each in self._heard(told, still):
                yield each
        finally:
            self._leave(plan, told)

    async def _heard(self, told: asyncio.Event, still: Callable[[], Awaitable[object]]) -> AsyncGenerator[str]:
        clock = asyncio.get_running_loop().time
        looked = clock()
        while self._saying is not None and not self._saying.done():
            try:
                async with asyncio.timeout(self._beat):
                    await told.wait()
            except TimeoutError:
                yield ": still here\n\n"
            if clock() - looked >= self._beat:
                await still()
                looked = clock()
            if told.is_set():
                told.clear()
                yield said(self.word)

    def _leave(self, plan: str, told: asyncio.Event) -> None:
        here = self._listening[plan]
        here.remove(told)
        if not here:
            del self._listening[plan]
            self._states.pop(plan, None)
        if not self._listening and self._saying is not None:
            self._saying.cancel()
            self._saying = None

    async def _say(self) -> None:
        """Tell those whose state is another than before, all at once, and no oftener than a node can bear."""
        changed = self._following.watch()
        try:
            while True:
                told_all = not await _set_within(changed, self._again)
                changed.clear()
                plans = [plan for plan in self._listening if plan in self._states]
                now = await self._following.read(
                    lambda log, plans=plans: {each: self._state(log, each) for each in plans}
                )
                self.word += 1
                for plan in plans:
                    if told_all or now[plan] != self._states.get(plan):
                        for told in self._listening.get(plan, ()):
                            told.set()
                self._states = {plan: now.get(plan, state) for plan, state in self._states.items()}
                await asyncio.sleep(self.pace)
        except Exception as error:
            structlog.get_logger().error("open pages are told nothing", reason=repr(error))
        finally:
            self._following.unwatch(changed)
            for told in (each for here in self._listening.values() for each in here):
                told.set()  # their streams end, and browsers ask for others

    def _state(self, log: Log, plan: str) -> object:
        here = self._following
        return state_of(log, plan) if plan else (log.size, here.connected, here.broken)


@final
class Feeds:
    """Those of a node, by channel."""

    def __init__(self) -> None:
        self._made: dict[str, Feed] = {}

    def of(self, following: Following) -> Feed:
        """That of a channel."""
        return self._made.setdefault(following.link.channel, Feed(following))


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set before so many seconds were over."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def said(word: int) -> str:
    """A word as the stream has it."""
    return f"event: changed\ndata: {word}\n\n"


def state_of(log: Log, plan: str) -> object:
    """What the content of a plan's pages follows from."""
    table = schema.records[Task]
    tasks = select(func.count(), func.sum(table.c.started_at), func.sum(table.c.ended_at)).where(
        table.c.channel == log.channel, table.c.plan == plan
    )
    return log.records.get(Plan, plan), tuple(log.connection.execute(tasks).one())
