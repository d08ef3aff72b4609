"""What a node does with its organization's own functions: builds them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import final

import structlog

from comity.adapters.disk import is_full
from comity.adapters.sql.log import Log
from comity.domain import sums
from comity.domain.events import (
    AnyEvent,
    Event,
    FunctionBuilding,
    FunctionCancelled,
    FunctionFailed,
    FunctionReady,
    FunctionRegistered,
)
from comity.domain.plans import status_of
from comity.domain.records import Function, Plan, Task, need
from comity.domain.states import OVER
from comity.node.bundles import Bundles
from comity.node.exchange import Exchange
from comity.node.judging import Judging
from comity.node.logs import log_file
from comity.values.errors import BuildFailed, ComityError, DecodeError, Unavailable

CHANGES: tuple[type[Event], ...] = (
    FunctionRegistered,
    FunctionBuilding,
    FunctionReady,
    FunctionFailed,
)
"""What makes a difference to what is to be built."""

AT_ONCE = 8
"""Bundles that are built at the same time; how many of them install something is limited elsewhere.

Images of Dockerfiles are built one after another, in the order in which they were registered, as Substra's builders do.
"""

PAUSE = 1.0
"""Seconds after which what found no room is built anew."""


@final
class Building:
    """One channel's functions at one node; `run` does the work."""

    def __init__(self, exchange: Exchange, bundles: Bundles, judging: Judging, *, folder: Path) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._bundles = bundles
        self._judging = judging
        self._folder = folder
        self._under_way: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._arriving, self._image = asyncio.Lock(), asyncio.Lock()
        self._line: deque[Function] = deque()  # images whose turn is still to come
        self._begun: set[str] = set()  # of those, what is said to be under way
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Build until cancelled; what was under way is then built at the next start."""
        for name, data in sums.BLOBS.items():
            await asyncio.to_thread(self._exchange.blobs.put, iter([data]), name)
        changed = self._following.watch(*CHANGES)
        async with asyncio.TaskGroup() as group:
            while True:
                changed.clear()
                for function in await self._following.read(self._unbuilt):
                    self._under_way.add(function.key)
                    build = group.create_task(self._build(function))
                    build.add_done_callback(lambda _, key=function.key: self._forget(key))
                await changed.wait()

    def log_of(self, function: str) -> Path:
        """Where the log of a function's failed build lies."""
        return log_file(self._folder, function)

    async def unpacked(self, function: Function) -> Path:
        """The folder of a function's archive, fetched if need be; raises what `Bundles.have` raises."""
        return await self._bundles.unpacked(self._exchange, function)

    def _forget(self, function: str) -> None:
        self._under_way.discard(function)
        self._begun.discard(function)

    def _unbuilt(self, log: Log) -> list[Function]:
        waiting = log.records.find(Function, "status", "FUNCTION_STATUS_WAITING")
        building = log.records.find(Function, "status", "FUNCTION_STATUS_BUILDING")
        me, under_way = self._following.organization, self._under_way
        found = [each for each in [*waiting, *building] if each.owner == me and each.key not in under_way]
        return sorted(found, key=lambda each: (not each.building_at, each.created_at, each.key))

    async def _build(self, function: Function) -> None:
        while True:
            try:
                return await self._built(function)
            except (OSError, Unavailable) as error:
                if not (isinstance(error, Unavailable) or is_full(error)):
                    raise
                self._log.warning("build put off", function=function.key, reason=str(error))
                await asyncio.sleep(PAUSE)

    @asynccontextmanager
    async def _turn(self, function: Function) -> AsyncGenerator[bool]:
        """Hold a place among those that are built; gives whether it is an image."""
        async with self._arriving:  # so that they line up as they came
            try:
                is_image = await self._bundles.is_image(self._exchange, function)
            except DecodeError:  # its build says so
                is_image = False
            if is_image:
                self._line.append(function)
        async with self._image if is_image else self._slots:
            if is_image:
                self._line.remove(function)
            yield is_image

    async def _built(self, function: Function) -> None:
        async with self._turn(function) as is_image:
            if function.status == "FUNCTION_STATUS_WAITING" and function.key not in self._begun:
                if is_image and await self._following.read(lambda log: given_up(log, function.key)):
                    return await self._say(FunctionCancelled(key=function.key))
                await self._say(FunctionBuilding(key=function.key))
            began = time.monotonic_ns()
            try:
                await self._judging.deny(function)  # before anything of it can run here
                with self._bundles.held(function):
                    await self._bundles.have(self._exchange, function)
                    async with self._bundles.using(function) as environment:  # its tasks will find it there
                        locked = environment.locked
                    await self._bundles.settle(function, locked)
            except Unavailable:
                raise
            except Exception as error:  # the edge of what is done for one function, which must not stop the others
                if is_full(error):
                    raise
                known = isinstance(error, ComityError)
                self._log.warning("build failed", function=function.key, reason=str(error), exc_info=not known)
                said = await self._bundles.build_log(function) if isinstance(error, BuildFailed) else ""
                last = "" if said.endswith(f"{error}\n") else f"{error}\n"
                await asyncio.to_thread(self._keep_log, function.key, said + last)
                await self._end(FunctionFailed(key=function.key), is_image)
                return
            took = (time.monotonic_ns() - began) // 1000
            await self._end(FunctionReady(key=function.key, durations={"build_image": took}, locked=locked), is_image)

    async def _end(self, event: AnyEvent, is_image: bool) -> None:
        """Say how a build ended; with an image's, that the next one is under way, so that it is never seen idle."""
        following = self._line[0] if is_image and self._line else None
        if following is None or following.status != "FUNCTION_STATUS_WAITING":
            return await self._say(event)
        if await self._following.read(lambda log: given_up(log, following.key)):
            return await self._say(event)
        try:
            await self._following.insist([event, FunctionBuilding(key=following.key)], {})
        except ComityError:  # one of the two has been overtaken
            return await self._say(event)
        self._begun.add(following.key)

    def _keep_log(self, function: str, text: str) -> None:
        path = self.log_of(function)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, errors="backslashreplace")

    async def _say(self, event: AnyEvent) -> None:
        """Say an event and wait until it is so; what the rules refuse has been overtaken by other news."""
        try:
            await self._following.insist([event], {})
        except ComityError as error:
            self._log.info("not said", reason=str(error))


def given_up(log: Log, function: str) -> bool:
    """Whether there were plans for a function, and all of them have failed or were cancelled."""
    plans = {task.plan for task in log.records.find(Task, "function", function)}
    ended = [status_of(need(log.records, Plan, each)) for each in plans]
    return bool(ended) and all(each in OVER and each != "PLAN_STATUS_DONE" for each in ended)
