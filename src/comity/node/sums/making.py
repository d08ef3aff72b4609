"""The masked sums that this organization makes: it collects what sites say, phase by phase, and opens their sum.

How long a phase waits for a site that trains is the log's to say, as for a round in the clear
(`comity.domain.masking.goes_on`). A site that only has to answer is waited for until enough have, and then a while.
A state is in the database before a site is told of it; what was heard and is lost with a process is asked for again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import final

import structlog
from sqlalchemy import Connection

from comity.adapters.sql.log import Log
from comity.domain.events import SumClosed, SumOpened
from comity.domain.masking import gives_out, goes_on
from comity.domain.records import MaskedSum
from comity.domain.rounds import growth_of
from comity.domain.words import SALT, written
from comity.node import released, schema
from comity.node.exchange import Exchange
from comity.node.sums import kept
from comity.node.sums.kept import Making
from comity.node.sums.site import Say
from comity.node.sums.terms import Masked, masked, part_of
from comity.node.sums.totals import came_out
from comity.privacy import aggregator, messages
from comity.privacy.aggregator import Aggregation
from comity.privacy.messages import FromSite, Input
from comity.privacy.vector import EXTRA
from comity.values.digest import Digest
from comity.values.errors import ComityError, DecodeError, RoundFailed, Unavailable

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
    patience: float
    fetched: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Sites and blobs of inputs that came here, or are on their way."""
    fetching: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    """Inputs on their way, by site."""
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
        self._given_up: set[str] = set()
        """Sums of which it was said that they do not come out, until the log has it."""
        self._changed = asyncio.Event()
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Go on with every sum when it is time, until cancelled."""
        self._live.clear()  # what was not kept may be ahead of what was
        opened = self._following.watch(SumOpened)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    opened.clear()
                    await self._while_under_way(group)
                    await opened.wait()
        finally:
            self._following.unwatch(opened)
            for fetching in [each for live in self._live.values() for each in live.fetching.values()]:
                fetching.cancel()

    async def _while_under_way(self, group: asyncio.TaskGroup) -> None:
        """Return once no sum is under way here."""
        while True:
            self._changed = changed = self._following.watch()
            try:
                seconds = await self._look(group)
                if seconds is None:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, seconds)):
                        await changed.wait()
            finally:
                self._following.unwatch(changed)

    async def hear(self, record: MaskedSum, sender: str, message: FromSite) -> None:
        """Take what a site says; what does not fit is left aside."""
        name = message.commitment.sender if isinstance(message, Input) else message.sender
        try:
            if name != sender:
                raise DecodeError(f"{sender} passes on what {name} said")
            live = await self._known(record)
            if not isinstance(message, Input):
                live.making = replace(live.making, state=aggregator.receive(live.state, message))
            elif sender not in live.fetching and aggregator.receive(live.state, message) != live.state:
                live.fetching[sender] = asyncio.create_task(self._fetch(live, sender, message))
        except ComityError as error:
            self._log.info("a word of a masked sum was left aside", task=record.key, sender=sender, reason=str(error))
        self._changed.set()

    async def _look(self, group: asyncio.TaskGroup) -> float | None:
        """Seconds until one of the sums here may go on, or a site is asked again; None when none is under way."""
        me = self._following.organization

        def found(log: Log) -> tuple[list[MaskedSum], list[str]]:
            records = [each for each in log.records.find(MaskedSum, "status", "open") if each.aggregator == me]
            known = {*kept.under_way(log.connection, schema.made_sums, log.channel), *self._live, *self._given_up}
            return records, sorted(known - {each.key for each in records})

        records, over = await self._following.read(found)
        for key in over:
            await self._forget(key)
        looks = list[float]()
        for record in records:
            try:
                looks.append(await self._advance(record, group))
            except Unavailable:
                raise  # there is no room
            except ComityError as error:  # of this sum alone
                self._log.warning("a masked sum does not go on", task=record.key, reason=str(error))
                looks.append(LONGEST_PATIENCE)
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
        live = Live(
            summed=summed,
            making=making,
            since=now,
            asked_at=asked_at,
            patience=PATIENCE,
            closed=bool(making.total),
        )
        return self._live.setdefault(record.key, live)

    async def _fetch(self, live: Live, sender: str, message: Input) -> None:
        """Have a masked input here, piece by piece, and take it then."""
        commitment, terms, key = message.commitment, live.summed.terms, live.summed.key
        length, width = terms.segment, terms.bits // 8
        turns = asyncio.Semaphore(AT_ONCE)

        async def have(blob: str, size: int | None) -> None:
            async with turns:
                live.fetched.add((sender, blob))
                await self._exchange.have(blob, owner=sender, holds="masked input", asset=key, size=size)

        try:
            await self._following.until(lambda: self._fits(live, sender, commitment.size))
            sizes = [min(length, commitment.size - first) * width for first in range(0, commitment.size, length)]
            async with asyncio.TaskGroup() as group:
                group.create_task(have(commitment.form, None))
                for blob, size in zip(message.segments, sizes, strict=True):
                    group.create_task(have(blob, size))
            live.making = replace(live.making, state=aggregator.receive(live.state, message))
        except* (ComityError, OSError) as errors:
            reason = str(errors.exceptions[0])
            self._log.warning("a masked input was left aside", task=key, sender=sender, reason=reason)
        finally:
            live.fetching.pop(sender, None)
            self._changed.set()

    async def _fits(self, live: Live, site: str, size: int) -> bool:
        """Whether a site's part is known to be done; raises DecodeError where so many numbers cannot be in it."""
        part = await self._following.read(lambda log: part_of(log.records, live.summed, site))
        if part is not None and size > part[1].size + EXTRA:
            raise DecodeError(f"{site} gives {size} numbers of a contribution of {part[1].size} bytes")
        return part is not None

    async def _advance(self, record: MaskedSum, group: asyncio.TaskGroup) -> float:
        """Close phases while that can be; seconds until it is worth another look."""
        if record.key in self._given_up:
            return LONGEST_PATIENCE
        try:
            live = await self._known(record)
        except ComityError as error:
            await self._give_up(record.key, str(error))
            return LONGEST_PATIENCE
        while not live.closed:
            if live.state.phase == "opened":
                live.closed = True
                group.create_task(self._come_out(record.key, live))
                break
            before = live.state
            seconds = await self._wait(live)
            if live.state is not before:
                continue  # something was heard meanwhile
            if seconds is not None and seconds > 0:
                return min(seconds, self._ask_again(live))
            state, replies, reason = before, {}, "too few sites can give to it"
            if seconds is not None:
                try:
                    state, replies = aggregator.close(before)
                except (RoundFailed, DecodeError) as error:
                    reason = str(error)
            if state is before:
                left = -1.0 if seconds is not None and _all_heard(before) else await self._left(live)
                if left > 0:
                    return min(left, self._ask_again(live))
                if live.state is before:
                    await self._give_up(record.key, reason)
                    return LONGEST_PATIENCE
                continue
            told = {name: messages.encode(message).decode() for name, message in replies.items()}
            making = Making(state=state, told=told)
            await self._keep(record.key, making)
            live.making, live.patience = making, PATIENCE
            live.since = live.asked_at = asyncio.get_running_loop().time()
            self._tell(record.key, told)
        return LONGEST_PATIENCE

    async def _wait(self, live: Live) -> float | None:
        """Seconds until the phase may be over: 0 or less when it may be now; None while it hangs on what comes."""
        heard, asked = aggregator.collected(live.state), aggregator.asked(live.state)
        answered = live.since + ANSWER - asyncio.get_running_loop().time()
        match live.state.phase:
            case "advertising" | "masking":
                when = await self._following.read(lambda log: goes_on(log.records, live.summed.task, heard, asked))
                if when is None:
                    return None
                # Whoever was told to go on a moment ago has a while for it, though others used up the deadline.
                return 0.0 if when == 0 else max((when - self._clock()) / 1000, answered)
            case "opening":
                return 0.0  # enough shares are as good as all of them
            case _:
                return 0.0 if _all_heard(live.state) else answered

    async def _left(self, live: Live) -> float:
        """Seconds until a sum that lacks some is given up if nobody says any more."""
        now = asyncio.get_running_loop().time()
        if live.fetching:
            return LONGEST_PATIENCE
        if live.state.phase not in ("advertising", "masking"):
            return live.since + max(ANSWER, growth_of(live.summed.plan).deadline / 1000) - now
        until = await self._following.read(lambda log: gives_out(log.records, live.summed.task))
        if until is None:
            return LONGEST_PATIENCE
        return max((until - self._clock()) / 1000, live.since - now) + ANSWER

    def _ask_again(self, live: Live) -> float:
        """Tell those again who have not answered for a while; seconds until the next time."""
        loop = asyncio.get_running_loop()
        wait = live.asked_at + live.patience - loop.time()
        if wait > 0:
            return wait
        live.asked_at, live.patience = loop.time(), min(2 * live.patience, LONGEST_PATIENCE)
        silent = {*aggregator.asked(live.state)} - {*aggregator.collected(live.state)} - {*live.fetching}
        self._tell(live.summed.key, {name: live.making.told.get(name, "") for name in sorted(silent)})
        return live.patience

    def _tell(self, key: str, told: Mapping[str, str]) -> None:
        for name, message in told.items():
            self._say(name, key, message.encode())

    async def _come_out(self, key: str, live: Live) -> None:
        """Open the sum, keep it and say so."""
        try:
            made = await asyncio.to_thread(came_out, self._exchange.blobs, live.summed, live.state)
        except Unavailable:
            raise
        except ComityError as error:
            return await self._give_up(key, str(error))

        async def known() -> bool:
            return await self._following.read(lambda log: self._included(log, live)) is not None

        await self._following.until(known)  # a site may know of its own task before this node does

        def close(connection: Connection) -> None:
            included = self._included(self._following.log(connection), live) or ()
            event = SumClosed(task=key, included=included, root=made.root, clipped=made.clipped)
            live.making = replace(live.making, total=made.blob)
            kept.put_making(connection, self._following.channel, key, live.making)
            self._following.say(connection, [event], {})

        await self._following.database.awrite(close)
        self._following.said()

    def _included(self, log: Log, live: Live) -> tuple[str, ...] | None:
        """The tasks whose outputs are in the sum; None while one of them is not known to be done."""
        found = [part_of(log.records, live.summed, name) for name in live.state.included]
        keys = tuple(each[0].key for each in found if each is not None)
        return keys if len(keys) == len(found) else None

    async def _give_up(self, key: str, reason: str) -> None:
        """Say that nothing comes out, once, and why."""
        text, texts = written(reason[:1000], os.urandom(SALT))
        event = SumClosed(task=key, reason=text)
        await self._following.database.awrite(lambda connection: self._following.say(connection, [event], texts))
        self._given_up.add(key)
        self._following.said()

    async def _forget(self, key: str) -> None:
        """The sum is over: what it was made of goes, but for what came out."""
        live = self._live.pop(key, None)
        self._given_up.discard(key)
        for fetching in [*live.fetching.values()] if live else ():
            fetching.cancel()
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


def _all_heard(state: Aggregation) -> bool:
    return {*aggregator.collected(state)} >= {*aggregator.asked(state)}
