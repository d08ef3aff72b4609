"""The masked sums that this organization makes: it collects what sites say, phase by phase, and opens their sum.

How long a phase waits for a site that trains is the log's to say, as for a round in the clear
(`comity.domain.masking.goes_on`). A site that only has to answer is waited for until enough have, and then a while.
A state is in the database before a site is told of it; what was heard and is lost with a process is asked for again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import final

import structlog
from sqlalchemy import Connection

from comity.adapters.sql.log import Log
from comity.domain.events import SumClosed, SumOpened
from comity.domain.masking import goes_on
from comity.domain.records import MaskedSum
from comity.domain.words import SALT, written
from comity.node import released, schema
from comity.node.exchange import Exchange
from comity.node.sums import kept
from comity.node.sums.kept import Making
from comity.node.sums.site import Say
from comity.node.sums.terms import Masked, masked, part_of
from comity.node.sums.totals import CameOut, came_out
from comity.privacy import aggregator, messages
from comity.privacy.aggregator import Aggregation, Phase
from comity.privacy.messages import FromSite, Input
from comity.values.digest import Digest
from comity.values.errors import ComityError, DecodeError, RoundFailed

PATIENCE = 5.0
"""Seconds after which a site that was not heard is asked again, and twice as many each time after that."""

LONGEST_PATIENCE = 300.0

ANSWER = 30.0
"""Seconds that a site which only has to answer is waited for, when enough others have."""

AT_ONCE = 4
"""Pieces of one input that are fetched at a time."""


@final
@dataclass(kw_only=True)
class Live:
    """A sum under way, as this process knows it."""

    summed: Masked
    making: Making
    since: float
    """When its phase began, by the event loop's clock; or when this process did."""
    asked_at: float
    patience: float = PATIENCE
    fetched: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Sites and blobs of inputs that came here, or are on their way."""
    closed: bool = False
    """Whether what came of it is said, or about to be."""

    @property
    def state(self) -> Aggregation:
        """Where it stands."""
        return self.making.state


@final
class MadeSums:
    """One channel's, at one node; `run` does the work, `hear` brings it news."""

    def __init__(self, exchange: Exchange, say: Say, clock: Callable[[], int]) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._say = say
        self._clock = clock
        self._live: dict[str, Live] = {}
        self._changed = asyncio.Event()
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Go on with every sum when it is time, until cancelled."""
        opened = self._following.watch(SumOpened)
        async with asyncio.TaskGroup() as group:
            while True:
                opened.clear()
                self._changed = changed = self._following.watch()
                try:
                    seconds = await self._look(group)
                    if seconds is not None:
                        with suppress(TimeoutError):
                            await asyncio.wait_for(changed.wait(), max(0.0, seconds))
                        continue
                finally:
                    self._following.unwatch(changed)
                await opened.wait()

    async def hear(self, record: MaskedSum, sender: str, message: FromSite) -> None:
        """Take what a site says; what does not fit is left aside."""
        name = message.commitment.sender if isinstance(message, Input) else message.sender
        try:
            if name != sender:
                raise DecodeError(f"{sender} passes on what {name} said")
            live = await self._known(record)
            if isinstance(message, Input):
                aggregator.receive(live.state, message)  # raises for what would be refused in the end
                await self._fetch(live, sender, message)
            live.making = replace(live.making, state=aggregator.receive(live.state, message))
        except ComityError as error:
            self._log.info("a word of a masked sum was left aside", task=record.key, sender=sender, reason=str(error))
        self._changed.set()

    async def _look(self, group: asyncio.TaskGroup) -> float | None:
        """Seconds until one of the sums here may go on, or a site is asked again; None when none is under way."""
        me = self._following.organization

        def found(log: Log) -> tuple[list[MaskedSum], list[str]]:
            records = [each for each in log.records.find(MaskedSum, "status", "open") if each.aggregator == me]
            known = kept.under_way(log.connection, schema.made_sums, log.channel)
            return records, sorted({*known} - {each.key for each in records})

        records, over = await self._following.read(found)
        for key in over:
            await self._forget(key)
        looks = [await self._advance(record, group) for record in records]
        return min(looks, default=None)

    async def _known(self, record: MaskedSum) -> Live:
        """The sum as this process knows it, begun if it was not; raises what `masked` raises."""
        if (live := self._live.get(record.key)) is not None:
            return live

        def found(log: Log) -> tuple[Masked, Making | None]:
            return masked(log.records, record), kept.get_making(log.connection, log.channel, record.key)

        summed, making = await self._following.read(found)
        now = asyncio.get_running_loop().time()
        # What was heard since the state was kept is lost with the process that heard it.
        asked_at = now if making is None else now - PATIENCE
        making = making or Making(state=aggregator.begin(summed.terms), told={})
        live = Live(summed=summed, making=making, since=now, asked_at=asked_at, closed=bool(making.total))
        return self._live.setdefault(record.key, live)

    async def _fetch(self, live: Live, sender: str, message: Input) -> None:
        """Have a masked input here."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def have(blob: str) -> None:
            async with turns:
                live.fetched.add((sender, blob))
                await self._exchange.have(blob, owner=sender, holds="masked input", asset=live.summed.key)

        await asyncio.gather(*map(have, (message.commitment.form, *message.segments)))

    async def _advance(self, record: MaskedSum, group: asyncio.TaskGroup) -> float:
        """Close phases while that can be; seconds until it is worth another look."""
        try:
            live = await self._known(record)
        except ComityError as error:
            await self._close(record, None, reason=str(error))
            return LONGEST_PATIENCE
        while not live.closed:
            if live.state.phase == "opened":
                live.closed = True
                group.create_task(self._come_out(record, live))
                break
            seconds = await self._wait(live)
            if seconds > 0:
                return min(seconds, await self._ask_again(live))
            try:
                state, replies = aggregator.close(live.state)
            except (RoundFailed, DecodeError) as error:
                if _heard(live.state) >= _asked(live.state):
                    await self._close(record, live, reason=str(error))
                return await self._ask_again(live)
            told = {name: messages.encode(message).decode() for name, message in replies.items()}
            live.making = Making(state=state, told=told)
            live.since = live.asked_at = asyncio.get_running_loop().time()
            live.patience = PATIENCE
            await self._keep(record.key, live.making)
            await self._tell(record.key, told)
        return LONGEST_PATIENCE

    async def _wait(self, live: Live) -> float:
        """Seconds until the phase may be over: 0 or less when it may be now."""
        heard, asked = _heard(live.state), _asked(live.state)
        match live.state.phase:
            case "advertising" | "masking":
                when = await self._following.read(lambda log: goes_on(log.records, live.summed.task, heard, asked))
                return LONGEST_PATIENCE if when is None else (when - self._clock()) / 1000
            case "opening":
                return 0.0  # enough shares are as good as all of them
            case _:
                return 0.0 if heard >= asked else live.since + ANSWER - asyncio.get_running_loop().time()

    async def _ask_again(self, live: Live) -> float:
        """Tell those again who have not answered for a while; seconds until the next time."""
        loop = asyncio.get_running_loop()
        wait = live.asked_at + live.patience - loop.time()
        if wait > 0:
            return wait
        live.asked_at, live.patience = loop.time(), min(2 * live.patience, LONGEST_PATIENCE)
        silent = _asked(live.state) - _heard(live.state)
        await self._tell(live.summed.key, {name: live.making.told.get(name, "") for name in sorted(silent)})
        return live.patience

    async def _tell(self, key: str, told: Mapping[str, str]) -> None:
        await asyncio.gather(*(self._say(name, key, message.encode()) for name, message in told.items()))

    async def _come_out(self, record: MaskedSum, live: Live) -> None:
        """Open the sum, keep it and say so."""
        try:
            made = await asyncio.to_thread(came_out, self._exchange.blobs, live.summed, live.state)
        except ComityError as error:
            return await self._close(record, live, reason=str(error))

        async def known() -> bool:
            return await self._following.read(lambda log: self._included(log, live)) is not None

        await self._following.until(known)  # a site may know of its own task before this node does
        await self._close(record, live, made=made)

    def _included(self, log: Log, live: Live) -> tuple[str, ...] | None:
        """The tasks whose outputs are in the sum; None while one of them is not known to be done."""
        found = [part_of(log.records, live.summed, name) for name in live.state.included]
        keys = tuple(each[0].key for each in found if each is not None)
        return keys if len(keys) == len(found) else None

    async def _close(
        self, record: MaskedSum, live: Live | None, *, made: CameOut | None = None, reason: str = ""
    ) -> None:
        """Say what came out, or why nothing did; with what is to be the task's output, in one transaction."""
        if live is not None:
            live.closed = True
        text, texts = written(reason[:1000], os.urandom(SALT))

        def close(connection: Connection) -> None:
            log = Log(connection, self._following.channel)
            event = SumClosed(task=record.key, reason=text)
            if made is not None and live is not None:
                included = self._included(log, live) or ()
                event = SumClosed(task=record.key, included=included, root=made.root, clipped=made.clipped)
                live.making = replace(live.making, total=made.blob)
                kept.put_making(connection, log.channel, record.key, live.making)
            self._following.say(connection, [event], texts)

        await self._following.database.awrite(close)
        self._following.said()

    async def _forget(self, key: str) -> None:
        """The sum is over: what it was made of goes, but for what came out."""
        live = self._live.pop(key, None)
        gone = set[tuple[str, str]]() if live is None else live.fetched

        def forget(connection: Connection) -> None:
            channel = self._following.channel
            making = kept.get_making(connection, channel, key)
            kept.put_making(connection, channel, key, None, making.total if making else "")
            if making is not None:
                for name, each in making.state.inputs.items():
                    gone.update((name, blob) for blob in (each.commitment.form, *each.segments))
            for name, blob in gone:
                self._exchange.forget(connection, name, blob)
                if not released.needed(connection, blob):
                    self._exchange.blobs.delete(Digest(blob))

        await self._following.database.awrite(forget)
        for name, blob in gone:
            self._exchange.forgot(name, blob)

    async def _keep(self, key: str, making: Making) -> None:
        await self._following.database.awrite(
            lambda connection: kept.put_making(connection, self._following.channel, key, making)
        )


def _heard(state: Aggregation) -> set[str]:
    """Who has said what this phase collects."""
    return {*aggregator.collected(state)}


def _asked(state: Aggregation) -> set[str]:
    """Who was asked for it."""
    before: Mapping[Phase, Collection[str]] = {
        "advertising": state.terms.names,
        "sharing": state.advertised,
        "masking": state.shared,
        "agreeing": state.inputs,
        "opening": state.agreed,
        "opened": (),
    }
    return {*before[state.phase]}
