"""What open pages ask for when they are told of something: made once for all who are told and see the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import final

MOST = 500
"""Pages that are held; of more, each is made for itself."""


@final
class Shared:
    """The live parts of pages, as they were last made."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[int, asyncio.Task[bytes]]] = {}

    async def give(self, key: Hashable, make: Callable[[], Awaitable[bytes]], *, asked: int, now: int) -> bytes:
        """What `make` gives, once for all who ask under the same key for what a word was about.

        asked: the number of the word. now: that of the last one. Raises what `make` raises.
        """
        held = self._made.get(key)
        if held is not None and held[0] >= asked and not _failed(held[1]):
            return await asyncio.shield(held[1])
        making = asyncio.create_task(_of(make))
        self._forget(now)
        if len(self._made) < MOST:
            self._made[key] = now, making
        return await asyncio.shield(making)

    def _forget(self, now: int) -> None:
        """What was made before the last word: whoever is told of that asks for another."""
        self._made = {key: held for key, held in self._made.items() if held[0] >= now}


def _failed(task: asyncio.Task[bytes]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _of(make: Callable[[], Awaitable[bytes]]) -> bytes:
    return await make()
