"""That a task has begun: said soon, or along with what became of it where that is known before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import final

from msgspec.structs import replace

from comity.domain.events import Ruled, TaskStarted

SOON = 0.2
"""Seconds after which it is said by itself. A task that ends before costs the channel one entry, and not two."""


@final
class Beginning:
    """Of one attempt at a task. That it is lost is known from its being said: whoever loses it says it."""

    def __init__(self, event: TaskStarted, say: Callable[[TaskStarted], Awaitable[None]]) -> None:
        self._event = event
        self._say = say
        self._saying: asyncio.Task[None] | None = None
        self._said = False

    @property
    def begun(self) -> bool:
        """Whether there is anything to be said."""
        return self._saying is not None

    def begin(self, soon: float = SOON) -> None:
        """The task's process is about to start, unless it has begun before; say so after so many seconds."""
        if self._saying is None:
            self._saying = asyncio.create_task(self._later(soon))

    def ruled(self, ruled: Ruled | None) -> None:
        """By what the task may run on this organization's data; before it begins."""
        self._event = replace(self._event, ruled=ruled)

    async def unsaid(self) -> tuple[TaskStarted, ...]:
        """What is still to be said, by who asks; returns once what was said by itself is kept."""
        if self._saying is None:
            return ()
        if self._said:
            await self._saying
            return ()
        self._saying.cancel()
        self._said = True
        return (self._event,)

    async def say(self) -> None:
        """Say it now, unless it is said."""
        for event in await self.unsaid():
            await self._say(event)

    def close(self) -> None:
        """Say nothing any more."""
        if self._saying is not None and not self._said:
            self._saying.cancel()

    async def _later(self, soon: float) -> None:
        await asyncio.sleep(soon)
        self._said = True
        await self._say(self._event)
