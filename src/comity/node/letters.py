"""The letters of one channel that came here: up to which of them none needs anything any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import final

from sqlalchemy import Connection, select, update

from comity.adapters.sql.database import Database
from comity.node import schema
from comity.values.errors import Unavailable


@final
class Letters:
    """Those in hand, by their numbers; one that was in hand when this process died comes again."""

    def __init__(self, database: Database, channel: int) -> None:
        self._database = database
        self._channel = channel
        self._done: int | None = None
        """As it is on the disk."""
        self._passed = 0
        self._writing: asyncio.Task[None] | None = None
        self._in_hand: dict[int, asyncio.Future[None] | None] = {}

    def __len__(self) -> int:
        return len(self._in_hand)

    def take(self, number: int, work: asyncio.Future[None] | None) -> None:
        """A letter is dealt with until this is done."""
        self._in_hand[number] = work

    async def done(self) -> int:
        """The last letter up to which none needs anything, on the disk: the hub may forget those."""
        if self._done is None:
            self._done = self._passed = await self._database.aread(self._read)
        for number, work in list(self._in_hand.items()):
            if work is not None and not work.done():
                break
            del self._in_hand[number]
            self._passed = max(self._passed, number)
        if self._passed > self._done and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write(self._passed))
        return self._done

    @property
    def last(self) -> int:
        """The last letter that came."""
        return max([self._passed, *self._in_hand])

    def _read(self, connection: Connection) -> int:
        table = schema.joined
        return connection.execute(select(table.c.mail).where(table.c.channel == self._channel)).scalar_one()

    async def _write(self, number: int) -> None:
        table = schema.joined
        here = update(table).where(table.c.channel == self._channel).values(mail=number)
        with suppress(Unavailable):  # no room for that now
            await self._database.awrite(lambda connection: connection.execute(here), patient=True)
            self._done = number
