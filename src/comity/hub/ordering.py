"""Ordering: entries that arrive together are given their places in one transaction, then a checkpoint is signed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, select

from comity.adapters.sql.database import Database
from comity.adapters.sql.log import Delivery, Log, Memo
from comity.adapters.sql.schema import channels
from comity.domain.entry import Entry
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization, need
from comity.hub.concern import concerned
from comity.hub.recall import Page, Recall
from comity.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from comity.ledger.merkle import verify_consistency
from comity.values.errors import ComityError, DecodeError, Unavailable
from comity.values.keys import from_base64

T = TypeVar("T")

TOGETHER = 200
"""Entries of one transaction."""

LINGER = 0.25
"""Seconds after which those hear of an entry whom it does not concern, unless something else comes before."""

COMPARING = 15.0
"""Seconds after its start that the hub waits at most for every member to compare histories, before it orders."""


@final
class Lost(msgspec.Struct, frozen=True):
    """Entries that the hub has lost, and its own signature that they were there."""

    deliveries: list[Delivery]
    checkpoint: str
    proof: list[str]
    """That the log with these entries is a prefix of the one it signed (RFC 6962, section 2.1.2), base64."""


@final
@dataclass(frozen=True)
class Ordered:
    """What became of entries that were ordered together."""

    outcomes: list[int | Exception]
    """Of each, its place or why it has none."""
    members: set[int]
    """Channels whose members changed."""
    concerned: dict[int, tuple[frozenset[str] | None, int]]
    """By channel: the organizations that have something to do, None for all; and the entries in its log."""


@final
@dataclass(frozen=True)
class Waiting:
    """An entry that waits for its place."""

    channel: int
    entry: Entry
    place: asyncio.Future[int]


@final
class Ordering:
    """Gives entries their places; one task runs `run`, anyone calls `place`."""

    def __init__(self, database: Database, key: Ed25519PrivateKey, clock: Callable[[], int], recall: Recall) -> None:
        self._database = database
        self._key = key
        self._clock = clock
        self._recall = recall
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(maxsize=10_000)
        self._unheard: dict[int, set[str]] = {}
        self._until = 0.0
        self._memos: defaultdict[int, Memo] = defaultdict(Memo)
        self._grown: defaultdict[int, defaultdict[str, asyncio.Event]] = defaultdict(lambda: defaultdict(asyncio.Event))
        """By channel and organization."""
        self._concerned: dict[tuple[int, str], int] = {}
        """By channel and organization: how long the log was with the last entry that concerned it."""
        self._lingering: dict[int, asyncio.TimerHandle] = {}

    async def begin(self) -> None:
        """Note who has to be heard before anything is ordered: every member that ever wrote.

        A hub that was restored from a backup has forgotten what it signed since then; were it to order anything
        before a node gave that back, there would be two histories.
        """

        def founder(connection: Connection, channel: int) -> str:
            return need(Log(connection, channel).records, Channel, CHANNEL).founder

        def members(connection: Connection) -> dict[int, set[str]]:
            return {
                channel: {
                    member.key
                    for member in Log(connection, channel).records.find(Organization, "status", "member")
                    if member.seen and member.key != founder(connection, channel)
                }
                for channel in connection.execute(select(channels.c.id)).scalars()
            }

        self._unheard = await self._database.aread(members)
        self._until = time.monotonic() + COMPARING

    async def heard(self, channel: int, organization: str, size: int) -> None:
        """A member has verified so many entries; when the hub has as many, there is nothing to wait for from it."""
        unheard = self._unheard.get(channel)
        if not unheard or organization not in unheard:
            return
        if size <= await self._database.aread(lambda connection: Log(connection, channel).size):
            unheard.discard(organization)

    async def take_back(self, channel: int, origin: str, lost: Lost) -> None:
        """Append what was lost; raises DecodeError unless it goes on from here to what this hub once signed."""
        signed = open_checkpoint(lost.checkpoint, origin, self._key.public_key())
        proof = [from_base64(each, 32) for each in lost.proof]
        if signed.origin != origin:
            raise DecodeError(f"the checkpoint is of {signed.origin}, not of {origin}")

        def append(connection: Connection) -> None:
            log = Log(connection, channel, self._memos[channel])
            for delivery in lost.deliveries:
                log.append(bytes(delivery.leaf), delivery.texts)
            root = log.tree.root()
            verify_consistency(proof, old_size=log.size, old_root=root, new_size=signed.size, new_root=signed.root)

        await self.write(append, lambda: self.wake(channel))

    @property
    def compares(self) -> bool:
        """Whether the hub, which has just started, may lack what it once signed in some channel."""
        return any(self._unheard.values()) and time.monotonic() < self._until

    def check_compared(self, channel: int) -> None:
        """Raise Unavailable while the hub, which has just started, may lack what it once signed."""
        if self._unheard.get(channel) and time.monotonic() < self._until:
            names = ", ".join(sorted(self._unheard[channel]))
            raise Unavailable(f"the hub has just started and compares histories; still to be heard: {names}")

    async def place(self, channel: int, entry: Entry) -> int:
        """Where the entry stands now, durably; raises what the rules raise, Unavailable just after a start."""
        self.check_compared(channel)
        waiting = Waiting(channel, entry, asyncio.get_running_loop().create_future())
        await self._queue.put(waiting)
        return await waiting.place

    async def run(self) -> None:
        """Order whatever comes, for ever."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < TOGETHER and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            channels = {waiting.channel for waiting in batch}
            try:
                ordered = await self._database.awrite(lambda connection, batch=batch: self._ordered(connection, batch))
            except Exception as error:
                # a full disk or a lost database: everybody in this batch is told, the next batch is tried anew
                ordered = Ordered([error for _ in batch], channels, {})
            for channel in channels:
                if channel in ordered.members:
                    self.wake(channel)
                else:
                    self._grew(channel, *ordered.concerned[channel])
            for waiting, outcome in zip(batch, ordered.outcomes, strict=True):
                if waiting.place.done():
                    continue
                if isinstance(outcome, int):
                    waiting.place.set_result(outcome)
                else:
                    waiting.place.set_exception(outcome)

    async def write(self, work: Callable[[Connection], T], wake: Callable[[], None]) -> T:
        """Write, and wake whom it concerns, whatever came of it, before anybody is answered.

        A request that is cancelled meanwhile takes nothing back: what it wrote must not go unnoticed.
        """
        writing = asyncio.ensure_future(self._database.awrite(work))
        writing.add_done_callback(lambda _: wake())
        return await asyncio.shield(writing)

    def wake(self, channel: int) -> None:
        """Something was written to a channel's log: nothing is recalled of it, and those who wait look again."""
        self._recall.forget_members()
        self._grew(channel)

    def wake_recipient(self, channel: int, organization: str) -> None:
        """As `wake`, when a letter for the organization was written."""
        self._recall.forget_box(channel, organization)
        self._grown[channel].pop(organization, asyncio.Event()).set()

    def log(self, connection: Connection, channel: int) -> Log:
        """The channel's log, to be read; what its writer remembers is not read again."""
        return Log(connection, channel, shared=self._memos[channel])

    def growing(self, channel: int, organization: str) -> asyncio.Event:
        """Set as soon as there may be more news for an organization than there are now."""
        return self._grown[channel][organization]

    def page(
        self, connection: Connection, channel: int, origin: str, *, start: int, limit: int, most_bytes: int
    ) -> Page:
        """Leaves from a place on, as they stand on the disk."""
        log = self.log(connection, channel)
        found = log.deliveries(start, limit, most_bytes=most_bytes)
        size = min(log.size, start + len(found))
        checkpoint = sign_checkpoint(Checkpoint(origin, size, log.tree.root(size)), origin, self._key)
        return Page(deliveries=found, size=log.size, checkpoint=checkpoint)

    def concerns(self, channel: int, organization: str, start: int) -> bool:
        """Whether an entry from `start` on may give the organization something to do."""
        return self._concerned.get((channel, organization), start + 1) > start

    def _grew(self, channel: int, who: frozenset[str] | None = None, size: int = 0) -> None:
        """Tell those whom it concerns, the others a moment later; all at once when nobody is named."""
        self._recall.forget_log(channel)
        if who is None:
            self._concerned = {place: had for place, had in self._concerned.items() if place[0] != channel}
            return self._tell_all(channel)
        for each in who:
            self._concerned[channel, each] = size
            self._grown[channel].pop(each, asyncio.Event()).set()
        if channel not in self._lingering:
            self._lingering[channel] = asyncio.get_running_loop().call_later(LINGER, self._tell_all, channel)

    def _tell_all(self, channel: int) -> None:
        if (timer := self._lingering.pop(channel, None)) is not None:
            timer.cancel()
        for event in self._grown.pop(channel, {}).values():
            event.set()

    def _ordered(self, connection: Connection, batch: Sequence[Waiting]) -> Ordered:
        outcomes: list[int | Exception] = []
        members: set[int] = set()
        whom: dict[int, tuple[frozenset[str] | None, int]] = {}
        for waiting in batch:
            log = Log(connection, waiting.channel, self._memos[waiting.channel])
            before, _ = whom.get(waiting.channel, (frozenset[str](), 0))
            try:
                outcomes.append(log.order(waiting.entry, self._clock()))
                now = concerned(log, waiting.entry)
                whom[waiting.channel] = None if before is None or now is None else before | now, log.size
            except ComityError as error:
                outcomes.append(error)
                whom[waiting.channel] = before, log.size
            if log.members_changed:
                members.add(waiting.channel)
        return Ordered(outcomes, members, whom)
