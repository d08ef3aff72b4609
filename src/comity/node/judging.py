"""What a node's policy says of functions before a steward does: lets those of others in, or refuses unreadable ones."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Literal, TypeAlias, final

import structlog

from comity.adapters import durable
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

    def __init__(self, exchange: Exchange, bundles: Bundles, *, approve: Approve, opaque: Opaque, folder: Path) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._bundles = bundles
        self._approve: Approve = approve
        self._opaque: Opaque = opaque
        self._kept = folder / "opaque"
        """What policy said of unreadable files when the words that stand were given."""
        self._left: set[str] = set()
        """Archives that are left to a steward."""
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Judge until cancelled."""
        changed = self._following.watch(*CHANGES)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew())
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

    async def _renew(self) -> None:
        """Where policy has become `deny`, refuse what was let in before: of two words the stricter one wins.

        A steward may approve again, and then knows what policy says.
        """
        if await asyncio.to_thread(self._before) == self._opaque:
            return
        left = await self._following.read(self._let_in) if self._opaque == "deny" else []
        while left:
            again = list[Function]()
            for function in left:
                try:
                    if path := await self._unreadable(function):
                        await self._refuse(function, path, over=True)
                        if function.owner != self._following.organization:
                            await self._bundles.forget(function)
                except (ComityError, OSError) as error:
                    if isinstance(error, OSError) and not is_full(error):
                        raise
                    self._log.warning("not judged anew yet", function=function.key, reason=str(error))
                    again.append(function)
            if left := again:
                await asyncio.sleep(PAUSE)
        await asyncio.to_thread(self._keep)

    def _before(self) -> str:
        return self._kept.read_text() if self._kept.is_file() else ""

    def _keep(self) -> None:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        durable.write(self._kept, self._opaque.encode(), sync=True)

    def _let_in(self, log: Log) -> list[Function]:
        """Functions that may run here, its own among them, one for each archive."""
        me = self._following.organization
        words = {each.archive: each.approved for each in log.records.find(Approval, "organization", me)}
        ready = log.records.find(Function, "status", "FUNCTION_STATUS_READY")
        found = [each for each in ready if each.key != sums.SUM and words.get(each.archive, each.owner == me)]
        return list({each.archive: each for each in found}.values())

    async def _refuse(self, function: Function, path: str, *, over: bool = False) -> None:
        """Refuse it, unless there is a word already; with `over`, whatever word there is."""
        reason = (
            f"policy: nobody can read {path!a}, and code that nobody can read does not run here; a steward of this "
            "organization may approve of it all the same, or its node be told opaque = 'ask'"
        )
        text, texts = written(reason, secrets.token_bytes(SALT))
        event = FunctionRefused(archive=function.archive, by="policy", reason=text)
        await (self._insist(event, texts) if over else self._say(function, event, texts))

    async def _say(self, function: Function, event: FunctionApproved | FunctionRefused, texts: Texts) -> None:
        """Say a word and wait until it stands, unless a steward was quicker."""
        me = self._following.organization
        if await self._following.read(lambda log: _has_word(log, me, function)):
            return
        await self._insist(event, texts)

    async def _insist(self, event: FunctionApproved | FunctionRefused, texts: Texts) -> None:
        try:
            await self._following.insist([event], texts)
        except ComityError as error:
            self._log.info("not said", reason=str(error))


def _has_word(log: Log, organization: str, function: Function) -> bool:
    return log.records.get(Approval, f"{organization}|{function.archive}") is not None
