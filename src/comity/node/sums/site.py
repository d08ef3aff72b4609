"""This organization's part in the masked sums of a channel.

It begins where the log opens a sum and has it in the roster; what it says next hangs on what the aggregator tells it,
and on its own task, whose output is masked once it is done. Every state is in the database before a word of it leaves;
what was said is said again, not anew.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias, final

import structlog
from sqlalchemy import Connection

from comity.adapters.sql.log import Log
from comity.domain.events import SumOpened
from comity.domain.records import MaskedSum, Model, Task
from comity.node import schema
from comity.node.exchange import Exchange
from comity.node.sums import kept
from comity.node.sums.inputs import masked_input
from comity.node.sums.kept import SitePart
from comity.node.sums.terms import Masked, masked, part_of
from comity.privacy import messages, site
from comity.privacy.messages import Advertised, Agreed, Shared, Survivors, ToSite
from comity.values.digest import Digest
from comity.values.errors import ComityError, Forbidden, Unavailable

Say: TypeAlias = Callable[[str, str, bytes], None]
"""Brings a message of a sum, named by its task, to an organization, in the background."""

Still: TypeAlias = Callable[[Task], Awaitable[str]]
"""Why this organization does not let a task's output go into a sum any more; empty if it does."""

FOLLOWS: dict[type[ToSite], tuple[str, str]] = {
    Advertised: ("advertised", "shared"),
    Shared: ("shared", "masked"),
    Survivors: ("masked", "agreed"),
    Agreed: ("agreed", "opened"),
}
"""At which step a site takes a message, and at which it has answered it."""


@final
class SiteSums:
    """One channel's, at one node; `run` does the work that no message asks for."""

    def __init__(self, exchange: Exchange, say: Say, still: Still, folder: Path) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._say = say
        self._still = still
        self._folder = folder
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._unfit: set[str] = set()
        """Sums that this organization's part cannot go into."""
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Begin parts, and give inputs as they are made, until cancelled."""
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        opened = self._following.watch(SumOpened)
        try:
            for key in await self._following.read(self._under_way):
                await self.again(key)
            while True:
                opened.clear()
                await self._while_under_way()
                await opened.wait()
        finally:
            self._following.unwatch(opened)

    async def _while_under_way(self) -> None:
        """Return once this organization has a part in no sum."""
        while True:
            changed = self._following.watch()
            try:
                if not await self._look():
                    return
                await changed.wait()
            finally:
                self._following.unwatch(changed)

    async def hear(self, record: MaskedSum, message: ToSite) -> None:
        """Do what the aggregator's message asks for; what does not fit is left aside."""
        key = record.key
        async with self._locks[key]:
            part = await self._following.read(lambda log: kept.get_site(log.connection, log.channel, key))
            if part is None:
                return
            before, after = FOLLOWS[type(message)]
            try:
                if part.state.step == before:
                    part = await self._answered(record, part, message)
                elif part.state.step != after:
                    return
            except ComityError as error:
                self._log.warning("left a masked sum aside", task=key, reason=str(error))
                return
        if part is not None:
            self._say(record.aggregator, key, part.said)

    async def again(self, key: str) -> None:
        """Say what was said last."""

        def found(log: Log) -> tuple[MaskedSum | None, SitePart | None]:
            return log.records.get(MaskedSum, key), kept.get_site(log.connection, log.channel, key)

        record, part = await self._following.read(found)
        if record is not None and part is not None and record.status == "open":
            self._say(record.aggregator, key, part.said)

    def _under_way(self, log: Log) -> list[str]:
        return kept.under_way(log.connection, schema.site_sums, log.channel)

    async def _look(self) -> bool:
        """Whether sums are under way that this organization has a part in; those that are over are forgotten."""
        me = self._following.organization

        def found(log: Log) -> tuple[list[tuple[MaskedSum, bool]], list[str]]:
            records = [each for each in log.records.find(MaskedSum, "status", "open") if me in each.roster]
            known = [(each, kept.begun(log.connection, log.channel, each.key)) for each in records]
            over = {*self._under_way(log)} - {each.key for each in records}
            return known, sorted(over)

        known, over = await self._following.read(found)
        self._unfit &= {record.key for record, _ in known}
        for key in over:
            await self._forget(key)
        for record, begun in known:
            try:
                await (self._go_on(record) if begun else self._begin(record))
            except Unavailable:
                raise  # there is no room; what was not kept was not said
            except ComityError as error:
                self._log.warning("takes no part in a masked sum", task=record.key, reason=str(error))
                self._unfit.add(record.key)
        return bool(known)

    async def _begin(self, record: MaskedSum) -> None:
        if record.key in self._unfit:
            return
        summed = await self._following.read(lambda log: masked(log.records, record))
        state, said = site.begin(
            summed.terms, self._following.organization, identity=self._following.identity, random=os.urandom, begun=()
        )
        part = SitePart(state=state, said=messages.encode(said))
        async with self._locks[record.key]:
            await self._keep(record.key, part)
        self._say(record.aggregator, record.key, part.said)

    async def _go_on(self, record: MaskedSum) -> None:
        """Give the input, if only its making was waited for."""
        key = record.key
        if key in self._unfit:
            return
        async with self._locks[key]:
            part = await self._following.read(lambda log: kept.get_site(log.connection, log.channel, key))
            if part is None or not part.told or part.state.step != "shared":
                return
            told = messages.decode(part.told)
            assert isinstance(told, Shared)
            part = await self._input(record, part, told)
        if part is not None:
            self._say(record.aggregator, key, part.said)

    async def _answered(self, record: MaskedSum, part: SitePart, message: ToSite) -> SitePart | None:
        """Where this organization stands once it has answered, and that is kept; None while it cannot."""
        identity = self._following.identity
        match message:
            case Advertised():
                state, said = site.share(part.state, message, identity=identity, random=os.urandom)
            case Survivors():
                state, said = site.agree(part.state, message, identity=identity)
            case Agreed():
                state, said = site.answer(part.state, message, identity=identity)
            case Shared():
                part = SitePart(state=part.state, said=part.said, told=messages.encode(message))
                await self._keep(record.key, part)
                return await self._input(record, part, message)
        made = SitePart(state=state, said=messages.encode(said), pieces=part.pieces)
        await self._keep(record.key, made)
        return made

    async def _input(self, record: MaskedSum, part: SitePart, told: Shared) -> SitePart | None:
        def found(log: Log) -> tuple[Masked, tuple[Task, Model] | None]:
            summed = masked(log.records, record)
            return summed, part_of(log.records, summed, self._following.organization)

        summed, given = await self._following.read(found)
        if given is None:
            return None
        task, model = given
        if reason := await self._still(task):
            raise Forbidden(reason)
        made = await asyncio.to_thread(
            masked_input,
            self._exchange.blobs,
            summed,
            part,
            told=told,
            blob=model.blob,
            identity=self._following.identity,
            folder=self._folder,
        )
        await self._keep(record.key, made)
        return made

    async def _keep(self, key: str, part: SitePart) -> None:
        await self._following.database.awrite(
            lambda connection: kept.put_site(connection, self._following.channel, key, part)
        )

    async def _forget(self, key: str) -> None:
        """The sum is over: its secrets go, and its masked input."""

        def forget(connection: Connection) -> None:
            part = kept.get_site(connection, self._following.channel, key)
            kept.put_site(connection, self._following.channel, key, None)
            for blob in part.pieces if part else ():
                self._exchange.sending.forget(connection, blob)
                self._exchange.blobs.delete(Digest(blob))

        async with self._locks[key]:
            await self._following.database.awrite(forget)
        del self._locks[key]
        self._unfit.discard(key)
