"""What an organization has to say in a channel: kept before it is sent, gone once the log has it.

Rows are said in their order, many in one entry when there are many. The one entry that is under way is kept
signed, so that after a crash the very same entry is sent again, which the hub knows by its id.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select

from comity.adapters.sql.log import Log
from comity.domain.entry import MOST, Entry, Statement, Texts, sign
from comity.domain.events import AnyEvent, KeyRotated, texts_of
from comity.node import schema
from comity.values.errors import InvalidInput
from comity.values.keys import Identity

LARGEST = 400_000
"""Bytes of events and of their texts that are said together; a statement has at most 1 MiB."""

_UNDER_WAY = select(schema.sending.c.entry).where(schema.sending.c.channel == bindparam("of"))

_ROWS = select(schema.outbox).where(schema.outbox.c.channel == bindparam("of")).order_by(schema.outbox.c.number)

_FIRST = _ROWS.limit(1)

_EVENTS = msgspec.json.Decoder(tuple[AnyEvent, ...])
_TEXTS = msgspec.json.Decoder(dict[str, tuple[str, str]])


@final
@dataclass(frozen=True)
class Outbox:
    """The outbox of one channel; every method runs within a transaction of the caller's."""

    channel: int

    def put(self, connection: Connection, id: str, events: Sequence[AnyEvent], texts: Texts) -> None:
        """Keep events to be said, atomically, under an id."""
        row = {
            "channel": self.channel,
            "id": id,
            "events": msgspec.json.encode(list(events)),
            "texts": msgspec.json.encode(texts),
        }
        connection.execute(insert(schema.outbox), [row])

    def pending(self, connection: Connection) -> int:
        """How many rows there are."""
        table = schema.outbox
        query = select(func.count()).select_from(table).where(table.c.channel == self.channel)
        return connection.execute(query).scalar_one()

    def look(self, connection: Connection) -> tuple[Entry | None, bool]:
        """(the entry under way; whether anything is to be said beside or after it)."""
        given = {"of": self.channel}
        under_way = connection.execute(_UNDER_WAY, given).scalar()
        if under_way is not None:
            return msgspec.json.decode(under_way, type=Entry), True
        return None, connection.execute(_FIRST, given).first() is not None

    def next(self, log: Log, author: str, identity: Identity, most: int = MOST) -> Entry | None:
        """The entry under way, or one of the oldest rows, at most so many events; None when there is nothing."""
        connection = log.connection
        under_way = connection.execute(_UNDER_WAY, {"of": self.channel}).scalar()
        if under_way is not None:
            return msgspec.json.decode(under_way, type=Entry)
        events: list[AnyEvent] = []
        texts: dict[str, tuple[str, str]] = {}
        last, size = 0, 0
        for row in connection.execute(_ROWS.limit(most), {"of": self.channel}):
            said = _EVENTS.decode(row.events)
            size += len(row.events) + len(row.texts)
            if events and (len(events) + len(said) > most or size > LARGEST):
                break
            events += said
            texts |= _TEXTS.decode(row.texts)
            last = row.number
        if not events:
            return None
        id = str(uuid.uuid4())
        entry = sign(log.next_statement(author, id, events), identity, texts)
        row = {"channel": self.channel, "id": id, "entry": msgspec.json.encode(entry), "last": last}
        connection.execute(insert(schema.sending), [row])
        return entry

    def arrived(self, connection: Connection, said: Statement) -> tuple[list[str], bool]:
        """An entry of this organization's is in the log: (the rows it was made of, now forgotten; whether it is news).

        It is news to a node that was restored from a backup, or another process has said it. Rows that it was made of
        all the same are those of the same events: a text stands in an event by a commitment with a salt of its own.
        """
        if self._under_way(connection, said.id):
            return self._forget(connection), False
        table, box = schema.sending, schema.outbox
        here = select(box).where(box.c.channel == self.channel)
        rows = [
            row for row in connection.execute(here) if all(each in said.events for each in _EVENTS.decode(row.events))
        ]
        if rows:
            numbers = [row.number for row in rows]
            connection.execute(delete(box).where(box.c.channel == self.channel, box.c.number.in_(numbers)))
            # What was signed of them, and never sent, is signed anew of what is left.
            connection.execute(delete(table).where(table.c.channel == self.channel))
        rotated = isinstance(said.events[0], KeyRotated)  # which is said without the outbox
        return [row.id for row in rows], not rotated

    def refused(self, connection: Connection, id: str, *, final: bool) -> list[str]:
        """The entry of this id was refused: its row if it is of one and the refusal `final`, which is then given up.

        Otherwise nothing is given up, and an entry is made anew, of fewer rows; unless another is under way by now.
        """
        table, box = schema.sending, schema.outbox
        here = (table.c.channel == self.channel) & (table.c.id == id)
        last = connection.execute(select(table.c.last).where(here)).scalar()
        if last is None:
            return []  # it was taken back meanwhile
        sent = (box.c.channel == self.channel) & (box.c.number <= last)
        if final and connection.execute(select(func.count()).select_from(box).where(sent)).scalar_one() == 1:
            return self._forget(connection)
        connection.execute(delete(table).where(table.c.channel == self.channel))
        return []

    def _under_way(self, connection: Connection, id: str) -> bool:
        """Whether this entry has been sent and is not in the log as this node knows it."""
        table = schema.sending
        query = select(table.c.id).where(table.c.channel == self.channel, table.c.id == id)
        return connection.execute(query).first() is not None

    def _forget(self, connection: Connection) -> list[str]:
        table, box = schema.sending, schema.outbox
        last = connection.execute(select(table.c.last).where(table.c.channel == self.channel)).scalar_one()
        sent = (box.c.channel == self.channel) & (box.c.number <= last)
        ids = list(connection.execute(select(box.c.id).where(sent)).scalars())
        connection.execute(delete(box).where(sent))
        connection.execute(delete(table).where(table.c.channel == self.channel))
        return ids


def portions(events: Sequence[AnyEvent], texts: Texts) -> list[list[AnyEvent]]:
    """The events, in their order, in portions that fit an entry; raises InvalidInput for one that never does."""
    made: list[list[AnyEvent]] = [[]]
    room = LARGEST
    for event in events:
        size = len(msgspec.json.encode(event))
        own = sum(len(texts[name][1].encode()) for name in texts_of(event) if name in texts)
        if size > 2 * LARGEST:
            raise InvalidInput(f"one {type(event).__name__} has {size} bytes, {2 * LARGEST} is the most; divide it")
        if made[-1] and (size + own > room or len(made[-1]) == MOST // 2):
            made.append([])
            room = LARGEST
        made[-1].append(event)
        room -= size + own
    return made
