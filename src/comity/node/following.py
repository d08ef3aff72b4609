"""A node's part in one channel: it follows the log, and sends what its organization has to say."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar, final

import structlog
from sqlalchemy import Connection, select, update

from comity.adapters.sql.database import Database
from comity.adapters.sql.log import Log, Memo
from comity.domain.entry import MOST, Entry, Statement, Texts, canonical, read_statement
from comity.domain.events import AnyEvent, Event, texts_of
from comity.domain.membership import CHANNEL, Act
from comity.domain.records import Channel, Draft
from comity.domain.rules import apply
from comity.node import schema
from comity.node.giving_back import give_back, lost
from comity.node.letters import Letters
from comity.node.link import Link, outcome
from comity.node.news import Evidence, Mail, Member, apply_news, keep_evidence, read_news
from comity.node.outbox import Outbox, portions
from comity.node.released import note
from comity.node.watchers import Watchers
from comity.values.errors import ComityError, Conflict, NotSupported, Unavailable
from comity.values.keys import Identity

T = TypeVar("T")

Deal: TypeAlias = Callable[[Mail], Awaitable[asyncio.Future[None] | None]]
"""Begins to do what a letter asks; None when it asks nothing."""

WAIT = 20_000
"""Milliseconds that the hub may hold a request for news."""

PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to reach a hub that is away; each is drawn at random up to these, for ever."""

TOGETHER = 0.02
"""Seconds between two entries at least: what is said meanwhile goes into one, which costs every member less."""

RESTORED = "restored from a backup: took back what this node had said since"
OTHER = "another process speaks with this node's keys; stop it"


@final
class Following:
    """One channel, followed. `run` does the work; the rest may be called by anyone on the event loop."""

    def __init__(self, database: Database, channel: int, link: Link, identity: Identity) -> None:
        self.database = database
        self.channel = channel
        self.link = link
        self.identity = identity
        self.connected = False
        self.trouble = ""
        """Why it is not connected."""
        self.broken = ""
        """Why this node does not follow any more; unless newer rules are all it needs, it shows so after a restart."""
        self.releases = asyncio.Event()
        """Set when there are models to release, or blobs of released ones to delete."""
        self._outbox = Outbox(channel)
        self._memo = Memo()
        self._verified = ""
        self._letters = Letters(database, channel)
        self._asked: asyncio.Task[bytes] | None = None
        """The next question, which is on its way while the last answer is taken."""
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._said = asyncio.Event()
        self._watchers = Watchers()
        self._size: int | None = None
        """Entries here, where that is known: this object alone adds to them."""
        self._next_at = 0.0
        """When it signs the next entry at the earliest, by the monotonic clock."""
        self._most = MOST
        """Events that it says in one entry."""
        self._own: set[str] = set()
        """Entries of this organization's that came since the last was sent."""
        self._log = structlog.get_logger().bind(organization=link.organization, channel=link.channel[7:15])

    @property
    def organization(self) -> str:
        """Who this node is in the channel."""
        return self.link.organization

    def watch(self, *about: type[Event]) -> asyncio.Event:
        """An event that is set when the projection has grown, by something of these kinds if any are named.

        And whenever the hub has come or gone.
        """
        return self._watchers.add(about)

    def unwatch(self, watcher: asyncio.Event) -> None:
        """Set it no more."""
        self._watchers.remove(watcher)

    async def until(self, reached: Callable[[], Any]) -> None:
        """Return once `reached()`, an awaitable, is true; it is asked again whenever the projection has grown."""
        watcher = self.watch()
        try:
            while not await reached():
                await watcher.wait()
                watcher.clear()
        finally:
            self.unwatch(watcher)

    async def read(self, work: Callable[[Log], T]) -> T:
        """What `work` finds in the channel as this node knows it."""
        return await self.database.aread(lambda connection: work(self.log(connection)))

    def log(self, connection: Connection) -> Log:
        """The channel as this node knows it, to be read; what its writer remembers is not read again."""
        return Log(connection, self.channel, shared=self._memo)

    async def write(self, events: Sequence[AnyEvent], texts: Texts) -> None:
        """Say events, and return once this node's own projection has them.

        Raises what the rules raise, at once when this node knows already; Unavailable when the hub is known to
        be away. From there on it is said for certain, even if this process dies. What is more than an entry
        holds is said in several: all of them, unless the rules come to refuse one.
        """
        await self.check(events)
        parts = {str(uuid.uuid4()): portion for portion in portions(events, texts)}
        futures = {id: asyncio.get_running_loop().create_future() for id in parts}
        self._waiting |= futures

        def keep(connection: Connection) -> None:
            for id, part in parts.items():
                own = {name: texts[name] for event in part for name in texts_of(event)}
                self._outbox.put(connection, id, part, own)
            self._sign_soon(connection)

        try:
            await self.database.awrite(keep)
        except Unavailable:
            self._waiting = {id: each for id, each in self._waiting.items() if id not in parts}
            raise
        self._said.set()
        await asyncio.gather(*futures.values())

    async def insist(self, events: Sequence[AnyEvent], texts: Texts) -> None:
        """As `write`, but wait for the hub when it is away."""
        while True:
            await self.caught_up()
            with suppress(Unavailable):
                return await self.write(events, texts)
            await asyncio.sleep(random.random() * PAUSES[3])

    async def check(self, events: Sequence[AnyEvent]) -> None:
        """Raise what `write` would raise at once."""
        if self.broken:
            raise Unavailable(f"this node has stopped following the channel: {self.broken}")
        if not self.connected:
            raise Unavailable("the hub is away; try again")
        portions(events, {})
        await self.read(lambda log: self._try(log, events))

    def say(self, connection: Connection, events: Sequence[AnyEvent], texts: Texts, *, more: bool = False) -> None:
        """Put events into the outbox within a transaction of the caller's; call `said` once it is done.

        With `more`, the transaction is to say more, which goes into the same entry.
        """
        self._outbox.put(connection, str(uuid.uuid4()), events, texts)
        if not more:
            self._sign_soon(connection)

    def said(self) -> None:
        """There is something in the outbox."""
        self._said.set()

    async def caught_up(self) -> None:
        """Return once the hub was reached and everything it has is known here."""

        async def connected() -> bool:
            return self.connected

        await self.until(connected)

    async def catch_up(self, deal: Deal, *, ahead: bool = False) -> None:
        """Ask the hub once what is new, and take it; `deal` is awaited for each letter.

        With `ahead`, the next question is on its way while the answer is taken.

        What `deal` gives is done when the letter needs no more; one that was being dealt with when this process died
        comes again. Raises Unavailable when the hub is away or withholds something, NotSupported for later rules.
        What is evidence of a breach is kept, and makes it `broken`.
        """
        size, mail, asked = await self._known(), await self._letters.done(), self._asked
        self._asked = None
        body = await (asked or self._ask(size, mail, self._letters.last))
        news = read_news(body)
        if ahead and self.connected and news.size == size + len(news.deliveries):
            last = max([self._letters.last, *(letter.id for letter in news.mail)])
            self._asked = asyncio.create_task(self._ask(news.size, mail, last))
        said: Sequence[Statement] = ()
        if news.deliveries or news.checkpoint != self._verified:
            me = Member(self.link.channel, self.organization, self.identity.public)
            self._size = None
            try:
                said = await self._take(lambda log: apply_news(log, me, news))
            except (Unavailable, NotSupported):
                raise
            except ComityError as error:
                return await self._break(str(error), body)
            self._verified, self._size = news.checkpoint, size + len(said)
        if news.size < size:
            return await self._give_back(news.size, size)
        for letter in news.mail:
            self._letters.take(letter.id, await deal(letter))
        missing = news.size - size - len(said)
        self._connect(not missing, f"{missing} entries are still to come" if missing else "")
        self._watchers.tell(said)

    async def run(self, deal: Deal) -> None:
        """Follow and send, until cancelled; `deal` is awaited for each letter."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(deal))
            group.create_task(self._send())

    def _try(self, log: Log, events: Sequence[AnyEvent]) -> None:
        draft = Draft(log.records)
        here = draft.get(Channel, CHANNEL)
        for event in events:
            apply(draft, Act(self.organization, here.ordered_at if here else 0), event)

    # Following

    async def _follow(self, deal: Deal) -> None:
        self.broken = self.trouble = (await self.database.aread(self._row)).broken
        away = 0
        try:
            while not self.broken:
                try:
                    await self.catch_up(deal, ahead=True)
                    away = 0
                except Unavailable as error:
                    if self.connected or away == len(PAUSES):
                        self._log.warning("hub away", reason=str(error))
                    self._connect(False, str(error))
                    await asyncio.sleep(random.random() * PAUSES[min(away, len(PAUSES) - 1)])
                    away += 1
                except NotSupported as error:
                    self._stop(str(error))  # a newer version of this program goes on from here
        finally:
            self._ask_no_more()

    async def _known(self) -> int:
        """How many entries are here."""
        if self._size is None:
            self._size = await self.read(lambda log: log.size)
        return self._size

    async def _ask(self, size: int, mail: int, last: int) -> bytes:
        wait = WAIT if self.connected else 0
        target = f"/news?from={size}&mail={mail}&after={last}&wait={wait}"
        try:
            return await self.link.call("GET", target, seconds=WAIT / 1000 + 15)
        except ComityError as error:
            raise Unavailable(str(error)) from error  # whatever the hub says of a request, it is no news

    def _ask_no_more(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None

    async def _take(self, work: Callable[[Log], list[Statement]]) -> list[Statement]:
        """Apply what came, in one transaction, and tell those whose words are now in the log; what was said."""

        def applied(connection: Connection) -> tuple[list[Statement], list[tuple[list[str], bool]], bool]:
            log = Log(connection, self.channel, self._memo)
            made = work(log)
            own = [each for each in made if each.author == self.organization]
            released = note(log, self.organization, made)
            return made, [self._outbox.arrived(connection, each) for each in own], released

        made, arrived, released = await self.database.awrite(applied)
        self._own |= {each.id for each in made if each.author == self.organization}
        if released:
            self.releases.set()
        if news := sum(is_news for _, is_news in arrived):
            self._log.warning(OTHER if self.connected else RESTORED, entries=news)
        for id in [id for ids, _ in arrived for id in ids]:
            self._resolve(id, None)
        return made

    async def _give_back(self, start: int, size: int) -> None:
        """A hub that was restored from a backup is given what it has lost and once signed."""
        missing = await self.read(lambda log: lost(log, start))
        if missing is None:
            raise Unavailable(f"the hub shows {start} entries of the {size} here, and never signed more")
        self._connect(False, f"the hub has lost {size - start} entries, which it gets back")
        self._log.warning("giving the hub back what it lost", start=start)
        await give_back(self.link, missing, start=start, size=size)

    async def _break(self, reason: str, answer: bytes) -> None:
        """Stop following, for good, and keep the evidence: what the hub showed cannot be trusted."""

        def keep(connection: Connection) -> None:
            table = schema.joined
            connection.execute(update(table).where(table.c.channel == self.channel).values(broken=reason))
            keep_evidence(connection, self.channel, Evidence(reason, answer))

        await self.database.awrite(keep)
        self._stop(reason)

    def _stop(self, reason: str) -> None:
        self.broken = reason
        self._connect(False, reason)
        self._log.error("stopped following", reason=reason)
        for id in list(self._waiting):
            self._resolve(id, Unavailable(f"this node has stopped following the channel: {reason}"))

    def _row(self, connection: Connection) -> Any:
        table = schema.joined
        return connection.execute(select(table).where(table.c.channel == self.channel)).one()

    def _connect(self, connected: bool, trouble: str = "") -> None:
        before, self.connected = self.connected, connected
        self.trouble = trouble
        if not connected:
            self._ask_no_more()
        elif not before:
            self._said.set()
        if connected != before:
            self._watchers.wake()

    # Sending

    async def _send(self) -> None:
        while True:
            try:
                self._most = await self._sent()
            except Unavailable as error:
                self._log.info("not sent", reason=str(error))
                await asyncio.sleep(random.random() * PAUSES[3])

    async def _sent(self) -> int:
        """Send one entry, as soon as there is one; how many events to say in the next at most."""
        self._said.clear()
        await asyncio.sleep(self._next_at - time.monotonic())
        await self.caught_up()
        self._own.clear()  # the entry that comes now is not among them: what has arrived is not sent
        entry, more = await self.database.aread(self._outbox.look)
        if entry is None and more:
            entry = await self.database.awrite(self._sign)
        if entry is None:
            await self._said.wait()
            return self._most
        self._next_at = time.monotonic() + TOGETHER
        try:
            refused = outcome(await self.link.call("POST", "/entries", canonical([entry])))
        except ComityError as error:
            raise Unavailable(str(error)) from error  # whatever the hub says of a request, it is none of the entry
        if refused is not None:
            return await self._refused(entry, refused)
        await self._settled(read_statement(entry.statement).id)
        return MOST

    def _sign_soon(self, connection: Connection) -> None:
        """Sign what was put into the outbox by the same transaction, unless it is to wait for more to go with it."""
        if self.connected and self._most == MOST and time.monotonic() >= self._next_at:
            self._sign(connection)

    def _sign(self, connection: Connection) -> Entry | None:
        log = Log(connection, self.channel, self._memo)
        return self._outbox.next(log, self.organization, self.identity, self._most)

    async def _settled(self, id: str) -> None:
        """Return once an entry that was ordered is known here, or the hub went away: it may come back without it."""

        async def reached() -> bool:
            return not self.connected or id in self._own

        await self.until(reached)

    async def _refused(self, entry: Entry, error: ComityError) -> int:
        """What was said together is said one by one; what was said alone is given up. How many to say next.

        A conflict that the rules do not come to here is one of knowledge: this node has not seen all that the hub
        has, or a restored hub has not got back all that this node has seen. It is said anew, on what is known then.
        """
        if isinstance(error, Unavailable):
            await asyncio.sleep(random.random() * PAUSES[3])
            return MOST
        said = read_statement(entry.statement)
        final = not isinstance(error, Conflict) or not await self._is_possible(said.events)
        self._most = 1  # before anything is signed anew
        given_up = await self.database.awrite(lambda connection: self._outbox.refused(connection, said.id, final=final))
        for id in given_up:
            self._log.warning("refused", reason=str(error))
            self._resolve(id, error)
        if not final:
            await asyncio.sleep(random.random() * PAUSES[0])
        return MOST if given_up else 1

    async def _is_possible(self, events: Sequence[AnyEvent]) -> bool:
        """Whether the rules allow these events as far as this node knows."""
        try:
            await self.read(lambda log: self._try(log, events))
        except ComityError:
            return False
        return True

    def _resolve(self, id: str, error: Exception | None) -> None:
        future = self._waiting.pop(id, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
