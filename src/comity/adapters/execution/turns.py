"""Turns, fair between plans: whoever has the fewest goes next, and within a plan whoever came first."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import final

PATIENCE = 10.0
"""Seconds in which no turn was given back, after which a plan that has none is given one more."""


@final
class Turns:
    """So many at once, and as many more at most for plans that would wait for others that do not end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        """Below zero by those that there are more."""
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._late: set[str] = set()
        """Plans that have waited in vain since another gave a turn back."""
        self._moved = 0.0
        """When that was, by the event loop's clock."""

    @asynccontextmanager
    async def turn(self, plan: str) -> AsyncGenerator[None]:
        """Within it, a turn is taken."""
        if self._free > 0 or (plan in self._late and self._may_have_more(plan)):
            self._take(plan)
        else:
            await self._given(plan)
        try:
            yield
        finally:
            self._give_back(plan)

    async def _given(self, plan: str) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(plan, deque()).append(turn)
        began = loop.time()
        try:
            while not turn.done():
                late = max(began, self._moved) + PATIENCE
                await asyncio.wait([turn], timeout=max(0.0, late - loop.time()))
                if not turn.done() and loop.time() >= max(began, self._moved) + PATIENCE:
                    began = loop.time()
                    self._insist(plan)
        except asyncio.CancelledError:
            if turn.done():  # it was given just now
                self._give_back(plan)
            turn.cancel()
            raise

    def _may_have_more(self, plan: str) -> bool:
        return not self._taken[plan] and self._free > -self._size

    def _take(self, plan: str) -> None:
        self._free -= 1
        self._taken[plan] += 1

    def _give_back(self, plan: str) -> None:
        self._free += 1
        self._taken[plan] -= 1
        if not self._taken[plan]:
            del self._taken[plan]
        if plan not in self._late:
            self._late.clear()
            self._moved = asyncio.get_running_loop().time()
        elif self._free <= 0:
            self._insist(plan)
        while self._free > 0 and self._waiting:
            # Of plans with equally few, the one that was given a turn the longest ago.
            self._give(min(self._waiting, key=lambda each: self._taken[each]))

    def _insist(self, plan: str) -> None:
        """Give a plan that waits one turn, if not of those that there are."""
        while plan in self._waiting and self._may_have_more(plan):
            self._late.add(plan)
            self._give(plan)

    def _give(self, plan: str) -> None:
        """Give a turn to the first of a plan who still waits for it."""
        waiting = self._waiting.pop(plan)
        turn = waiting.popleft()
        if waiting:
            self._waiting[plan] = waiting
        if not turn.cancelled():
            self._take(plan)
            turn.set_result(None)
