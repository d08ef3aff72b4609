"""Ordering: entries that arrive together are given their places in one transaction, then a checkpoint is signed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from comity.adapters.sql.database import Database
from comity.adapters.sql.log import Delivery, Log, Memo
from comity.domain.entry import Entry
from comity.ledger.checkpoint import Checkpoint, sign_checkpoint
from comity.values.errors import ComityError

TOGETHER = 200
"""Entries of one transaction."""


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

    def __init__(self, database: Database, key: Ed25519PrivateKey, clock: Callable[[], int]) -> None:
        self._database = database
        self._key = key
        self._clock = clock
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(maxsize=10_000)
        self._memos: defaultdict[int, Memo] = defaultdict(Memo)
        self._grown: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def place(self, channel: int, entry: Entry) -> int:
        """Where the entry stands now, durably; raises what the rules raise."""
        waiting = Waiting(channel, entry, asyncio.get_running_loop().create_future())
        await self._queue.put(waiting)
        return await waiting.place

    async def run(self) -> None:
        """Order whatever comes, for ever."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < TOGETHER and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                made = await self._database.awrite(lambda connection, batch=batch: self._ordered(connection, batch))
            except Exception as error:
                # a full disk or a lost database: everybody in this batch is told, the next batch is tried anew
                made = [error for _ in batch]
            for waiting, outcome in zip(batch, made, strict=True):
                if waiting.place.done():
                    continue
                if isinstance(outcome, int):
                    waiting.place.set_result(outcome)
                else:
                    waiting.place.set_exception(outcome)
            for channel in {waiting.channel for waiting in batch}:
                self.wake(channel)

    def wake(self, channel: int) -> None:
        """Let those who wait for news of a channel look again."""
        self._grown.pop(channel, asyncio.Event()).set()

    async def grown(self, channel: int, seconds: float) -> bool:
        """Whether there may be news of the channel, as soon as there may be, or after so many seconds."""
        event = self._grown[channel]
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return False

    def note(self, connection: Connection, channel: int, origin: str) -> tuple[int, str]:
        """(size, signed checkpoint) of a channel as it stands on the disk."""
        log = Log(connection, channel)
        tree = log.tree
        checkpoint = Checkpoint(origin, tree.size, tree.root())
        return tree.size, sign_checkpoint(checkpoint, origin, self._key)

    def _ordered(self, connection: Connection, batch: Sequence[Waiting]) -> list[int | ComityError]:
        made: list[int | ComityError] = []
        for waiting in batch:
            try:
                made.append(
                    Log(connection, waiting.channel, self._memos[waiting.channel]).order(waiting.entry, self._clock())
                )
            except ComityError as error:
                made.append(error)
        return made


def deliveries(connection: Connection, channel: int, start: int, *, most: int, most_bytes: int) -> list[Delivery]:
    """Leaves from a place on, not many more bytes than asked for."""
    made: list[Delivery] = []
    size = 0
    for delivery in Log(connection, channel).deliveries(start, most):
        made.append(delivery)
        size += len(bytes(delivery.leaf))
        if size > most_bytes:
            break
    return made
