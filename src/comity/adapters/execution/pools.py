"""Jobs in the environments that they were written for: a pool for each, and a limit over all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, final

from comity.adapters.execution.job import Job, Outcome
from comity.adapters.execution.pool import Pool
from comity.ports.environments import Environment
from comity.values.errors import BuildFailed, Unavailable

Key: TypeAlias = tuple[Path, tuple[str, ...]]
"""The interpreter and the warm list: environments that share both share a base process."""

IDLE = 3
"""Pools without a job that are kept, since the next one then starts at once."""


@final
class Pools:
    """Runs jobs, at most `size` at once over all environments. What `Pool` promises of one holds of each."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots = asyncio.Semaphore(size)
        self._pools: dict[Key, Pool] = {}  # the one used last comes last
        self._busy: dict[Key, int] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    async def start(self, environment: Environment) -> None:
        """Have a base process of that environment ready; raises what `Pool.start` raises."""
        key = (environment.python, environment.warm)
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._pools:
                pool = Pool(self._size, warm=environment.warm, python=str(environment.python))
                await pool.start()
                self._pools[key] = pool

    async def close(self) -> None:
        """End all jobs, as lost, and the base processes."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.close()

    async def run(self, environment: Environment, job: Job, began: Callable[[], object] = lambda: None) -> Outcome:
        """What became of a job, as of `Pool.run`; raises BuildFailed when its environment does not start."""
        key = (environment.python, environment.warm)
        async with self._slots:
            self._busy[key] = self._busy.get(key, 0) + 1
            try:
                try:
                    await self.start(environment)
                except Unavailable as error:
                    raise BuildFailed(f"its environment is there but does not start: {error}") from error
                pool = self._pools[key] = self._pools.pop(key)
                return await pool.run(job, began)
            finally:
                self._busy[key] -= 1
                await self._close_idle()

    async def cancel(self, task_key: str) -> None:
        """Kill that job if it is under way; returns when nothing of it is left."""
        for pool in list(self._pools.values()):
            await pool.cancel(task_key)

    async def _close_idle(self) -> None:
        idle = [key for key in self._pools if not self._busy.get(key)]
        for key in idle[: max(0, len(idle) - IDLE)]:
            self._locks.pop(key, None)
            await self._pools.pop(key).close()
