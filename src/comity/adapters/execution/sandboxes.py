"""The sandboxes of a node: one for each domain, begun when it is needed and ended when it is not."""

from __future__ import annotations

import asyncio
import random
from asyncio import TimerHandle
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import final

from comity.adapters.execution import watch
from comity.adapters.execution.isolation import Isolation
from comity.adapters.execution.sandbox import Domain, Sandbox, begun
from comity.adapters.execution.way import Way
from comity.values.errors import ComityError

GLANCE = 0.1
"""Seconds between two looks at the memory that a sandbox takes up."""
IDLE = 0.5
"""The same where no task runs."""
DISK = 5
"""Looks at its memory for each at its disk."""
RECENT = 5.0
"""Seconds for which a plan is taken to go on."""


@final
@dataclass(eq=False, slots=True)
class Place:
    """A sandbox that there is, or that begins."""

    domain: Domain
    beginning: asyncio.Task[Sandbox]
    devices: tuple[str, ...]
    users: int = 0
    watching: asyncio.Task[None] | None = None
    expiry: TimerHandle | None = None
    unused_since: float = 0.0
    """By the event loop's clock."""

    @property
    def lasting(self) -> bool:
        """Whether it may be given to another user."""
        if not self.beginning.done():
            return True
        return not self.beginning.cancelled() and not self.beginning.exception() and not self.beginning.result().over


@final
class Sandboxes:
    """Those below a folder."""

    def __init__(self, folder: Path, isolation: Isolation, way: Way) -> None:
        self._folder = folder
        self._isolation = isolation
        self._way = way
        self._places: dict[Domain, Place] = {}  # those unused for longest first
        self._ending: dict[Place, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def using(self, domain: Domain) -> AsyncGenerator[Sandbox]:
        """The domain's sandbox, begun when it is not there; raises what `begun` raises."""
        place = await self._place(domain)
        try:
            yield await asyncio.shield(place.beginning)
        finally:
            place.users -= 1
            if place.users == 0:
                self._unused(place)
            self._changed.set()

    async def close(self) -> None:
        """End them all; returns when nothing of them is left."""
        for place in list(self._places.values()):
            self._retire(place)
        await asyncio.gather(*self._ending.values())

    async def _place(self, domain: Domain) -> Place:
        """The domain's place, with one more user."""
        while True:
            place = self._places.pop(domain, None)
            if place is not None and not place.lasting:
                self._retire(place)
                place = None
            if place is None and (devices := self._free()) is not None:
                work = begun(domain, self._folder / token_hex(8), self._isolation, self._way.limits, devices)
                place = Place(domain, asyncio.create_task(work), devices)
            if place is not None:
                self._places[domain] = place
                return self._with_user(place)
            if idle := self._idle():
                self._retire(idle[0])
            self._changed.clear()
            await self._changed.wait()

    def _free(self) -> tuple[str, ...] | None:
        """The devices for one sandbox more; None when it has to wait."""
        taken = {each for place in (*self._places.values(), *self._ending) for each in place.devices}
        left = [each for each in self._way.devices if each not in taken]
        return tuple(left[:1]) if left or not self._way.devices else None

    def _idle(self) -> list[Place]:
        return [place for place in self._places.values() if place.users == 0]

    def _with_user(self, place: Place) -> Place:
        place.users += 1
        if place.expiry is not None:
            place.expiry.cancel()
        if place.watching is None:
            place.watching = asyncio.create_task(self._watch(place))
        return place

    def _unused(self, place: Place) -> None:
        if self._places.get(place.domain) is not place:
            return
        if place.domain.alone or not place.lasting:
            self._retire(place)
            return
        place.expiry = asyncio.get_running_loop().call_later(self._way.idle_seconds, self._retire, place)
        place.unused_since = asyncio.get_running_loop().time()
        while len(idle := self._idle()) > self._way.sandboxes:
            # Among those in turn it is chance: were it always the first, plans that take turns would all begin anew.
            stale = idle[0].unused_since < place.unused_since - RECENT
            self._retire(idle[0] if stale else random.choice(idle))

    def _retire(self, place: Place) -> None:
        """Give it to nobody any more, and end it."""
        if self._places.get(place.domain) is place:
            del self._places[place.domain]
        if place not in self._ending:
            self._ending[place] = asyncio.create_task(self._end(place))

    async def _end(self, place: Place) -> None:
        if place.expiry is not None:
            place.expiry.cancel()
        try:
            with suppress(ComityError, OSError):
                sandbox = await place.beginning
                await sandbox.close()
            if place.watching is not None:
                place.watching.cancel()
        finally:
            del self._ending[place]
            self._changed.set()

    async def _watch(self, place: Place) -> None:
        """Kill a sandbox that takes up more than it may, also while no task runs in it: its zygotes are foreign too."""
        with suppress(ComityError, OSError):
            await asyncio.shield(place.beginning)
        for glance in count(1):
            if not place.beginning.done() or not place.lasting:
                return
            sandbox = place.beginning.result()
            await asyncio.sleep(GLANCE if place.users else IDLE)
            if over := await asyncio.to_thread(self._over, place, sandbox, glance):
                sandbox.kill(f"the task was killed for its {over}")
            elif not place.users and await sandbox.left_behind():
                sandbox.kill()

    def _over(self, place: Place, sandbox: Sandbox, glance: int) -> str:
        """What a sandbox takes up too much of, or nothing, also when that cannot be seen just now."""
        limits, tasks = self._way.limits, max(1, place.users)
        try:
            over = watch.memory(sandbox.base, limits, tasks=tasks)
            if not over and glance % DISK == 0:
                over = watch.disk(sandbox.base, sandbox.folders.written, limits, tasks=tasks)
        except OSError:  # it ends, or this process has no descriptor left
            return ""
        return over
