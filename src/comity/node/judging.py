"""What a node's policy says of functions before a steward does: lets those of others in, or refuses unreadable ones."""

from __future__ import annotations

import asyncio
import secrets
from typing import Literal, TypeAlias, final

import structlog

from comity.adapters.disk import is_full
from comity.adapters.sql.log import Log
from comity.domain import sums
from comity.domain.entry import Texts
from comity.domain.events import Event, FunctionApproved, FunctionReady, FunctionRefused
from comity.domain.records import Approval, Function
from comity.domain.words import SALT, written
from comity.node.bundles import Bundles
from comity.node.exchange import Exchange
from comity.node.opaque import Opaque, unreadable
from comity.values.errors import ComityError

Approve: TypeAlias = Literal["ask", "allow"]
"""Whether functions of other organizations wait for a steward or are let in."""

CHANGES: tuple[type[Event], ...] = (FunctionReady, FunctionApproved, FunctionRefused)
"""What makes a difference to what is to be judged."""

PAUSE = 1.0
"""Seconds after which what could not be looked at is looked at anew."""


@final
class Judging:
    """One channel's functions at one node; `run` does the work, one function at a time."""

    def __init__(self, exchange: Exchange, bundles: Bundles, approve: Approve, opaque: Opaque) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._bundles = bundles
        self._approve: Approve = approve
        self._opaque: Opaque = opaque
        self._left: set[str] = set()
        """Archives that are left to a steward."""
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Judge until cancelled."""
        changed = self._following.watch(*CHANGES)
        while True:
            changed.clear()
            for function in await self._following.read(self._unjudged):
                await self._judge(function)
            await changed.wait()

    async def deny(self, function: Function) -> None:
        """Refuse a function of this organization's own where policy lets no unreadable one run."""
        if self._opaque == "deny" and (path := await self._unreadable(function)):
            await self._refuse(function, path)

    def _unjudged(self, log: Log) -> list[Function]:
        """Functions of others that could run here and have no word yet, one for each archive."""
        if self._approve == "ask" and self._opaque != "deny":
            return []
        me = self._following.organization
        ready = log.records.find(Function, "status", "FUNCTION_STATUS_READY")
        theirs = [each for each in ready if each.owner != me and each.key != sums.SUM]
        usable = [each for each in theirs if each.permission.allows(me, each.owner)]
        archives = {each.archive: each for each in usable if each.archive not in self._left}
        return [each for each in archives.values() if not _has_word(log, me, each)]

    async def _judge(self, function: Function) -> None:
        """Give this organization's word where policy has one; else it is left to a steward."""
        while True:
            try:
                path = await self._unreadable(function) if self._opaque != "allow" else ""
                break
            except (ComityError, OSError) as error:
                if isinstance(error, OSError) and not is_full(error):
                    raise
                self._log.warning("not judged yet", function=function.key, reason=str(error))
                await asyncio.sleep(PAUSE)
        if path and self._opaque == "deny":
            await self._refuse(function, path)
            await self._bundles.forget(function)
        elif self._approve == "allow" and not path:
            await self._say(function, FunctionApproved(archive=function.archive, by="policy"), {})
        else:
            self._left.add(function.archive)

    async def _unreadable(self, function: Function) -> str:
        """The first file of a function that is no text, or nothing."""
        folder = await self._bundles.unpacked(self._exchange, function)
        return await asyncio.to_thread(unreadable, folder)

    async def _refuse(self, function: Function, path: str) -> None:
        reason = (
            f"policy: nobody can read {path!a}, and code that nobody can read does not run here; a steward of this "
            "organization may approve of it all the same, or its node be told opaque = 'ask'"
        )
        text, texts = written(reason, secrets.token_bytes(SALT))
        await self._say(function, FunctionRefused(archive=function.archive, by="policy", reason=text), texts)

    async def _say(self, function: Function, event: FunctionApproved | FunctionRefused, texts: Texts) -> None:
        """Say a word and wait until it stands, unless a steward was quicker."""
        me = self._following.organization
        if await self._following.read(lambda log: _has_word(log, me, function)):
            return
        try:
            await self._following.insist([event], texts)
        except ComityError as error:
            self._log.info("not said", reason=str(error))


def _has_word(log: Log, organization: str, function: Function) -> bool:
    return log.records.get(Approval, f"{organization}|{function.archive}") is not None
