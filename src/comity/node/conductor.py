"""The conductor of this organization's growing plans: says what `domain.conducting` decides, each plan by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

import structlog

from comity.adapters.sql.log import Log
from comity.domain.conducting import Decision, decide
from comity.domain.events import PlanRegistered, RoundClosed, TaskAdded
from comity.domain.records import Plan, need
from comity.node.following import Following
from comity.values.errors import ComityError

PAUSE = 1.0
"""Seconds before a decision that was refused is made anew, from what is known then."""


@final
class Conductor:
    """One channel's; `run` does the work."""

    def __init__(self, following: Following, clock: Callable[[], int]) -> None:
        self._following = following
        self._clock = clock
        self._conducted: set[str] = set()
        self._log = structlog.get_logger().bind(organization=following.organization)

    async def run(self) -> None:
        """Conduct until cancelled; a decision that was under way is then made again, and known by its keys."""
        changed = self._following.watch(PlanRegistered, TaskAdded, RoundClosed)
        async with asyncio.TaskGroup() as group:
            while True:
                changed.clear()
                for plan in await self._following.read(self._growing):
                    if plan not in self._conducted:
                        self._conducted.add(plan)
                        group.create_task(self._conduct(plan)).add_done_callback(
                            lambda _, plan=plan: (self._conducted.discard(plan), changed.set())
                        )
                await changed.wait()

    def _growing(self, log: Log) -> list[str]:
        return [plan.key for plan in log.records.find(Plan, "grows_at", self._following.organization)]

    async def _conduct(self, key: str) -> None:
        """Decide, say, and decide again, until the plan has ended."""
        changed = self._following.watch()
        try:
            while True:
                changed.clear()
                decision = await self._following.read(lambda log: self._decided(log, key))
                if decision is None:
                    return
                if decision.events:
                    await self._say(key, decision)
                else:
                    await self._wait(changed, decision.look)
        finally:
            self._following.unwatch(changed)

    def _decided(self, log: Log, key: str) -> Decision | None:
        plan = need(log.records, Plan, key)
        return decide(log.records, plan, self._clock()) if plan.grows_at else None

    async def _say(self, key: str, decision: Decision) -> None:
        try:
            await self._following.insist(decision.events, {})
        except ComityError as error:
            self._log.info("decided anew", plan=key, reason=str(error))
            await asyncio.sleep(PAUSE)

    async def _wait(self, changed: asyncio.Event, look: int | None) -> None:
        seconds = None if look is None else max(0.0, (look - self._clock()) / 1000)
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return
