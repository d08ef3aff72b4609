"""A node's part in one channel: it follows the log, and sends what its organization has to say."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, final

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, delete, func, insert, select, update

from comity.adapters.sql.database import Database
from comity.adapters.sql.log import Delivery, Log, Memo
from comity.domain.entry import MOST, Entry, Texts, canonical, read_statement, sign
from comity.domain.events import AnyEvent, texts_of
from comity.domain.membership import CHANNEL, Act
from comity.domain.records import Channel, Draft
from comity.domain.rules import apply
from comity.ledger.checkpoint import open_checkpoint
from comity.node import schema
from comity.node.link import Link, refusal
from comity.values.errors import ComityError, DecodeError, InvalidInput, Unavailable
from comity.values.keys import Identity, from_base64

T = TypeVar("T")

WAIT = 20_000
"""Milliseconds that the hub may hold a request for news."""

PAUSE = 5.0
"""Seconds between two attempts to reach a hub that is away, at most; the pause is drawn at random."""

PORTION = 400_000
"""Bytes of events that are said in one entry; a statement has at most 1 MiB."""

_EVENTS = msgspec.json.Decoder(tuple[AnyEvent, ...])
_TEXTS = msgspec.json.Decoder(dict[str, tuple[str, str]])


@final
class Mail(msgspec.Struct, frozen=True):
    """A letter as it came."""

    id: int
    sender: str
    body: str


@final
class News(msgspec.Struct, frozen=True):
    """What the hub has that this node has not."""

    deliveries: list[Delivery]
    size: int
    checkpoint: str
    mail: list[Mail]


_NEWS = msgspec.json.Decoder(News)


@final
class Following:
    """One channel, followed. `run` does the work; the rest may be called by anyone on the event loop."""

    def __init__(self, database: Database, channel: int, link: Link, identity: Identity) -> None:
        self.database = database
        self.channel = channel
        self.link = link
        self.identity = identity
        self.connected = False
        self.broken = ""
        self._written: dict[str, asyncio.Future[None]] = {}
        self._memo = Memo()
        self._said = asyncio.Event()
        self._mail: Callable[[Mail], Any] | None = None
        self._watchers: list[asyncio.Event] = []
        self._log = structlog.get_logger().bind(organization=link.organization, channel=link.channel[7:15])

    @property
    def organization(self) -> str:
        """Who this node is in the channel."""
        return self.link.organization

    def watch(self) -> asyncio.Event:
        """An event that is set whenever the projection has grown."""
        watcher = asyncio.Event()
        self._watchers.append(watcher)
        return watcher

    async def read(self, work: Callable[[Log], T]) -> T:
        """What `work` finds in the channel as this node knows it."""
        return await self.database.aread(lambda connection: work(Log(connection, self.channel)))

    async def write(self, events: Sequence[AnyEvent], texts: Texts) -> None:
        """Say events, and return once this node's own projection has them.

        Raises what the rules raise, at once when this node knows already; Unavailable when the hub is known to
        be away. From there on it is said for certain, even if this process dies. What is more than an entry
        holds is said in several: all of them, unless the rules come to refuse one.
        """
        await self.check(events)
        portions = [(str(uuid.uuid4()), portion) for portion in _portions(events)]
        futures = [asyncio.get_running_loop().create_future() for _ in portions]
        self._written |= {id: future for (id, _), future in zip(portions, futures, strict=True)}

        def keep(connection: Connection) -> None:
            for id, portion in portions:
                said = {name: texts[name] for event in portion for name in texts_of(event)}
                self.enqueue(connection, id, portion, said)

        await self.database.awrite(keep)
        self._said.set()
        await asyncio.gather(*futures)

    async def caught_up(self) -> None:
        """Return once the hub was reached and everything it has is known here."""
        changed = self.watch()
        while not self.connected:
            await changed.wait()
            changed.clear()
        self._watchers.remove(changed)

    async def check(self, events: Sequence[AnyEvent]) -> None:
        """Raise what `write` would raise at once."""
        if self.broken:
            raise Unavailable(f"this node has stopped following the channel: {self.broken}")
        if not self.connected:
            raise Unavailable("the hub is away; try again")
        _portions(events)
        await self.read(lambda log: self._try(log, events))

    def say(self, connection: Connection, events: Sequence[AnyEvent], texts: Texts) -> None:
        """Put events into the outbox within a transaction of the caller's; call `said` once it is done."""
        self.enqueue(connection, str(uuid.uuid4()), events, texts)

    def said(self) -> None:
        """There is something in the outbox."""
        self._said.set()

    def enqueue(self, connection: Connection, id: str, events: Sequence[AnyEvent], texts: Texts) -> None:
        """Put events into the outbox under an id."""
        connection.execute(
            insert(schema.outbox).values(
                channel=self.channel,
                id=id,
                events=msgspec.json.encode(list(events)),
                texts=msgspec.json.encode(texts),
            )
        )

    async def run(self, deal: Callable[[Mail], Any]) -> None:
        """Follow and send, until cancelled; `deal` is awaited for each letter."""
        self._mail = deal
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._send())

    def _try(self, log: Log, events: Sequence[AnyEvent]) -> None:
        draft = Draft(log.records)
        here = draft.get(Channel, CHANNEL)
        for event in events:
            apply(draft, Act(self.organization, here.ordered_at if here else 0), event)

    # Following

    async def _follow(self) -> None:
        while not self.broken:
            try:
                await self._catch_up()
            except Unavailable as error:
                if self.connected:
                    self._log.warning("hub away", reason=str(error))
                self.connected = False
                await asyncio.sleep(PAUSE * random.random())
            except ComityError as error:
                # evidence of a breach, or of rules this version does not know: nothing after it can be trusted
                self.broken = str(error)
                self.connected = False
                self._log.error("stopped following", reason=self.broken)
                await self._keep(broken=self.broken)
                for future in self._written.values():
                    if not future.done():
                        future.set_exception(Unavailable(f"this node has stopped following: {self.broken}"))

    async def _catch_up(self) -> None:
        def standing(connection: Connection) -> tuple[int, int]:
            table = schema.joined
            mail = connection.execute(select(table.c.mail).where(table.c.channel == self.channel)).scalar_one()
            return Log(connection, self.channel).size, mail

        size, mail = await self.database.aread(standing)
        wait = WAIT if self.connected else 0
        body = await self.link.call("GET", f"/news?from={size}&mail={mail}&wait={wait}", seconds=WAIT / 1000 + 15)
        try:
            news = _NEWS.decode(body)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise DecodeError(f"the hub's news cannot be read: {error}") from error
        if news.deliveries or news.size < size:
            mine = await self.database.awrite(lambda connection: self._applied(connection, news))
            for id in mine:
                self._resolve(id, None)
        for letter in news.mail:
            if self._mail is not None:
                await self._mail(letter)
        if news.mail:
            await self._keep(mail=news.mail[-1].id)
        before, self.connected = self.connected, news.size <= size + len(news.deliveries)
        if self.connected:
            self._said.set()
        if news.deliveries or self.connected != before:
            for watcher in self._watchers:
                watcher.set()

    async def _keep(self, *, broken: str | None = None, mail: int | None = None) -> None:
        values = {name: value for name, value in (("broken", broken), ("mail", mail)) if value is not None}
        change = update(schema.joined).where(schema.joined.c.channel == self.channel).values(values)
        await self.database.awrite(lambda connection: connection.execute(change))

    def _applied(self, connection: Connection, news: News) -> list[str]:
        """Append what came and compare with the hub's checkpoint; the outbox rows that are now in the log."""
        log = Log(connection, self.channel, self._memo)
        mine: list[str] = []
        for delivery in news.deliveries:
            statement = log.append(bytes(delivery.leaf), delivery.texts)
            if statement.author == self.organization:
                mine += self._settled(connection, statement.id)
        here = log.records.get(Channel, CHANNEL)
        if here is None:
            raise DecodeError("the hub sent nothing of the channel")
        if here.digest != self.link.channel:
            raise DecodeError(f"the hub sent the channel {here.digest} for {self.link.channel}")
        key = Ed25519PublicKey.from_public_bytes(from_base64(here.hub, 32))
        checkpoint = open_checkpoint(news.checkpoint, self.link.channel, key)
        if checkpoint.origin != self.link.channel or checkpoint.size != news.size:
            raise DecodeError("the hub's checkpoint is of another log")
        size = log.size
        if checkpoint.size < size:
            raise DecodeError(f"the hub shows {checkpoint.size} entries, but {size} were verified here before")
        if checkpoint.size == size and checkpoint.root != log.tree.root():
            raise DecodeError(f"the hub signed another log of {size} entries than the one it sent")
        return mine

    def _settled(self, connection: Connection, id: str) -> list[str]:
        table = schema.sending
        row = connection.execute(select(table).where(table.c.channel == self.channel, table.c.id == id)).first()
        if row is None:
            return []
        connection.execute(delete(table).where(table.c.channel == self.channel))
        box = schema.outbox
        sent = (box.c.channel == self.channel) & (box.c.number <= row.last)
        ids = list(connection.execute(select(box.c.id).where(sent)).scalars())
        connection.execute(delete(box).where(sent))
        return ids

    # Sending

    async def _send(self) -> None:
        together = MOST
        while True:
            try:
                entry = await self.database.awrite(lambda connection, most=together: self._next(connection, most))
                if entry is None:
                    self._said.clear()
                    if await self.database.aread(self._pending):
                        continue
                    await self._said.wait()
                    continue
                answer = msgspec.json.decode(await self.link.call("POST", "/entries", canonical([entry])))
                if "error" not in answer[0]:
                    await self._until_settled(read_statement(entry.statement).id)
                    together = MOST
                    continue
                error = refusal(answer[0])
                if isinstance(error, Unavailable):
                    raise error
                together = await self._refused(error)
            except Unavailable:
                await asyncio.sleep(PAUSE * random.random())

    def _pending(self, connection: Connection) -> int:
        table = schema.outbox
        return connection.execute(
            select(func.count()).select_from(table).where(table.c.channel == self.channel)
        ).scalar_one()

    def _next(self, connection: Connection, most: int) -> Entry | None:
        """The entry under way, or one made of the oldest rows of the outbox, kept before it is sent."""
        table, box = schema.sending, schema.outbox
        under_way = connection.execute(select(table.c.entry).where(table.c.channel == self.channel)).scalar()
        if under_way is not None:
            return msgspec.json.decode(under_way, type=Entry)
        rows = connection.execute(
            select(box).where(box.c.channel == self.channel).order_by(box.c.number).limit(most)
        ).all()
        events: list[AnyEvent] = []
        texts: dict[str, tuple[str, str]] = {}
        last, size = 0, 0
        for row in rows:
            decoded = _EVENTS.decode(row.events)
            size += len(row.events)
            if events and (len(events) + len(decoded) > most or size > 500_000):
                break
            events += decoded
            texts |= _TEXTS.decode(row.texts)
            last = row.number
        if not events:
            return None
        id = str(uuid.uuid4())
        statement = Log(connection, self.channel, self._memo).next_statement(self.organization, id, events)
        entry = sign(statement, self.identity, texts)
        connection.execute(
            insert(table).values(channel=self.channel, id=id, entry=msgspec.json.encode(entry), last=last)
        )
        return entry

    async def _refused(self, error: ComityError) -> int:
        """What was sent together is tried one by one; what was sent alone is given up. The next batch's size."""

        def drop(connection: Connection) -> list[str]:
            table, box = schema.sending, schema.outbox
            row = connection.execute(select(table).where(table.c.channel == self.channel)).one()
            connection.execute(delete(table).where(table.c.channel == self.channel))
            sent = (box.c.channel == self.channel) & (box.c.number <= row.last)
            ids = list(connection.execute(select(box.c.id).where(sent)).scalars())
            if len(ids) == 1:
                connection.execute(delete(box).where(sent))
                return ids
            return []

        given_up = await self.database.awrite(drop)
        for id in given_up:
            self._log.warning("refused", reason=str(error))
            self._resolve(id, error)
        return MOST if given_up else 1

    async def _until_settled(self, id: str) -> None:
        def under_way(connection: Connection) -> bool:
            table = schema.sending
            query = select(table.c.id).where(table.c.channel == self.channel, table.c.id == id)
            return connection.execute(query).first() is not None

        watcher = self.watch()
        try:
            while await self.database.aread(under_way):
                await watcher.wait()
                watcher.clear()
        finally:
            self._watchers.remove(watcher)

    def _resolve(self, id: str, error: Exception | None) -> None:
        future = self._written.pop(id, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _portions(events: Sequence[AnyEvent]) -> list[list[AnyEvent]]:
    """The events, in their order, in portions that fit an entry; raises InvalidInput for one that never does."""
    portions: list[list[AnyEvent]] = [[]]
    room = PORTION
    for event in events:
        size = len(msgspec.json.encode(event))
        if size > 2 * PORTION:
            raise InvalidInput(f"one {type(event).__name__} has {size} bytes, {2 * PORTION} is the most; divide it")
        if portions[-1] and (size > room or len(portions[-1]) == MOST // 2):
            portions.append([])
            room = PORTION
        portions[-1].append(event)
        room -= size
    return portions
