"""Runs of the playground: bounded in all and for each address, and ended when nobody waits for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import final

from comity.faces.playground.experiment import methods
from comity.faces.playground.limits import Limits
from comity.faces.playground.query import query_of
from comity.faces.playground.results import Results
from comity.faces.playground.settings import Settings
from comity.faces.playground.work import Asked, Failed, Point
from comity.faces.playground.workers import Workers
from comity.values.errors import InvalidInput, NotSupported, Unavailable

PAUSE = 0.12
"""Seconds between two looks at what has come, so that a browser can follow."""


@final
class Running:
    """One run under way."""

    def __init__(self, settings: Settings, workers: Workers, limits: Limits) -> None:
        self._workers = workers
        self._seconds = limits.seconds
        # No more parts of one run wait for a process than there are, so that several runs take turns.
        self._turns = asyncio.Semaphore(limits.processes)
        self._query = query_of(settings)
        self._results = Results(settings=settings)
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._all())

    @property
    def results(self) -> Results:
        """As far as it has come."""
        return self._results

    async def updates(self) -> AsyncGenerator[Results]:
        """The results so far whenever there are more, the whole ones once, last. Raises what the run ends with."""
        while not self._task.done():
            waiting = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            self._changed.clear()
            if not self._task.done() and not self._results.complete:
                yield self._results
                await asyncio.wait({self._task}, timeout=PAUSE)
        self._task.result()
        yield self._results

    async def end(self) -> None:
        """End it and all its processes."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # has been told, or nobody waits for it

    async def _all(self) -> None:
        """Every method under every seed; all of the first seed before any of the next, so that curves come early."""
        settings = self._results.settings
        parts = [(method, seed) for seed in settings.seeds for method in methods(settings)]
        tasks = [asyncio.create_task(self._one(*part)) for part in parts]
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.gather(*tasks)
        except TimeoutError as error:
            raise Unavailable(
                f"this run took longer than {self._seconds} s, which is its limit here; take fewer rounds or rows"
            ) from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _one(self, method: str, seed: int) -> None:
        asked = Asked(self._query, method, seed, self._seconds)
        async with self._turns, aclosing(self._workers.run(asked)) as said:
            async for each in said:
                if isinstance(each, Failed):
                    raise InvalidInput(each.why)
                if isinstance(each, Point):
                    self._results = self._results.following(method, seed, each)
                    self._changed.set()


@final
class Runs:
    """All runs under way, none beyond the limits."""

    def __init__(self, workers: Workers, limits: Limits) -> None:
        self._workers = workers
        self._limits = limits
        self._of: Counter[str] = Counter()

    @asynccontextmanager
    async def begin(self, settings: Settings, address: str) -> AsyncGenerator[Running]:
        """A run for a client of this address, which ends with the block.

        Raises Unavailable when there are as many as may be, NotSupported when the data set needs what is not installed.
        """
        if reason := settings.data_set.missing:
            raise NotSupported(reason)
        if self._of[address] >= self._limits.per_address:
            raise Unavailable(
                f"{self._of[address]} runs from your address are under way, which is the limit here; wait for one's end"
            )
        if self._of.total() >= self._limits.runs:
            raise Unavailable(f"{self._of.total()} runs are under way, which is the limit here; try again in a minute")
        self._of[address] += 1
        running = Running(settings, self._workers, self._limits)
        try:
            yield running
        finally:
            self._of[address] -= 1
            self._of += Counter()  # forget addresses that have none
            await asyncio.shield(running.end())
