"""What a node does with functions as they come: builds its own, and approves others' where policy says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, TypeAlias, final

import structlog

from comity.adapters.sql.log import Log
from comity.domain.events import AnyEvent, FunctionApproved, FunctionBuilding, FunctionFailed, FunctionReady
from comity.domain.records import Approval, Function
from comity.node.bundles import Bundles
from comity.node.exchange import Exchange
from comity.values.errors import ComityError

Approve: TypeAlias = Literal["ask", "allow"]
"""Whether functions of other organizations wait for a steward or are let in."""


@final
class Building:
    """One channel's functions at one node; `run` does the work."""

    def __init__(self, exchange: Exchange, bundles: Bundles, approve: Approve) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._bundles = bundles
        self._approve: Approve = approve
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Build and approve until cancelled."""
        changed = self._following.watch()
        while True:
            changed.clear()
            for function in await self._following.read(self._unbuilt):
                await self._build(function)
            if self._approve == "allow":
                for archive in await self._following.read(self._unjudged):
                    await self._say(FunctionApproved(archive=archive, by="policy"))
            await changed.wait()

    async def unpacked(self, function: Function) -> Path:
        """The folder of a function's archive, fetched if need be; raises what `Bundles.have` raises."""
        return await self._bundles.have(self._exchange, function)

    def _unbuilt(self, log: Log) -> list[Function]:
        waiting = log.records.find(Function, "status", "FUNCTION_STATUS_WAITING")
        building = log.records.find(Function, "status", "FUNCTION_STATUS_BUILDING")
        return [each for each in [*waiting, *building] if each.owner == self._following.organization]

    def _unjudged(self, log: Log) -> list[str]:
        me = self._following.organization
        ready = log.records.find(Function, "status", "FUNCTION_STATUS_READY")
        archives = sorted({each.archive for each in ready if each.owner != me})
        return [each for each in archives if log.records.get(Approval, f"{me}|{each}") is None]

    async def _build(self, function: Function) -> None:
        if function.status == "FUNCTION_STATUS_WAITING":
            await self._say(FunctionBuilding(key=function.key))
        began = time.monotonic_ns()
        try:
            await self._bundles.have(self._exchange, function)
        except ComityError as error:
            self._log.warning("build failed", function=function.key, reason=str(error))
            await self._say(FunctionFailed(key=function.key))
            return
        took = (time.monotonic_ns() - began) // 1000
        await self._say(FunctionReady(key=function.key, durations={"build_image": took}))

    async def _say(self, event: AnyEvent) -> None:
        """Say an event and wait until it is so; what the rules refuse has been overtaken by other news."""
        try:
            await self._following.insist([event], {})
        except ComityError as error:
            self._log.info("not said", reason=str(error))
