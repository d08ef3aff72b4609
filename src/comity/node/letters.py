"""The letters of one channel that came here: up to which of them none needs anything any more."""

from __future__ import annotations

import asyncio
from typing import final

from sqlalchemy import Connection, select, update

from comity.adapters.sql.database import Database
from comity.node import schema


@final
class Letters:
    """Those in hand, by their numbers; one that was in hand when this process died comes again."""

    def __init__(self, database: Database, channel: int) -> None:
        self._database = database
        self._channel = channel
        self._done: int | None = None
        self._in_hand: dict[int, asyncio.Future[None] | None] = {}

    def __len__(self) -> int:
        return len(self._in_hand)

    def take(self, number: int, work: asyncio.Future[None] | None) -> None:
        """A letter is dealt with until this is done."""
        self._in_hand[number] = work

    async def done(self) -> int:
        """The last letter up to which none needs anything, on the disk: the hub may forget those."""
        before = await self._database.aread(self._read) if self._done is None else self._done
        after = before
        for number, work in list(self._in_hand.items()):
            if work is not None and not work.done():
                break
            del self._in_hand[number]
            after = max(after, number)
        if after > before:
            await self._database.awrite(lambda connection: self._write(connection, after))
        self._done = after
        return after

    @property
    def last(self) -> int:
        """The last letter that came."""
        return max([self._done or 0, *self._in_hand])

    def _read(self, connection: Connection) -> int:
        table = schema.joined
        return connection.execute(select(table.c.mail).where(table.c.channel == self._channel)).scalar_one()

    def _write(self, connection: Connection, number: int) -> None:
        table = schema.joined
        connection.execute(update(table).where(table.c.channel == self._channel).values(mail=number))
