"""Blobs from other nodes: asked for by letter or sent unasked, as sealed parcels, each piece verified on arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, final

import structlog
from sqlalchemy import Connection, delete

from comity.adapters.sql.records import upsert
from comity.domain import sums
from comity.domain.letter import (
    AnyLetter,
    Denied,
    Held,
    LogDenied,
    LogLetter,
    LogSent,
    LogWanted,
    Sent,
    SumLetter,
    Wanted,
    context,
    open_letter,
)
from comity.domain.records import MaskedSum, Organization, need
from comity.node import released, schema
from comity.node.asked import check_node, due, size_of
from comity.node.following import Following
from comity.node.news import Mail
from comity.node.posting import Posting
from comity.node.receiving import Receiving
from comity.node.sending import Sending
from comity.ports.blobs import Blobs
from comity.values.digest import Digest
from comity.values.errors import ComityError, DecodeError, Forbidden, NotFound, Unavailable

SOON = 0.5
"""Seconds without a byte after which a blob that was sent unasked is asked for: who was sending it may have died."""

PATIENCE = 3.0
"""Seconds without a byte after which a blob is asked for again, and twice as many each time after that."""

LONGEST_PATIENCE = 300.0

LARGEST = 1 << 30
"""Bytes of a blob that is no model: an archive, an opener, a description."""


@final
@dataclass
class Arrival:
    """A blob that is awaited here, from its owner."""

    future: asyncio.Future[None]
    heard: float
    """When it was asked for, or a byte of it came, by the event loop's clock."""
    patience: float
    size: int | None = None
    """As the log has it, for a model."""
    refused: str = ""
    """The parcel that was not this blob."""
    masked: str = ""
    """The task whose masked sum it is an input of, in case it is one."""


@final
class Exchange:
    """One channel's blobs at one node."""

    def __init__(self, following: Following, blobs: Blobs) -> None:
        self.following = following
        self.blobs = blobs
        self._arriving: dict[tuple[str, str], Arrival] = {}
        """By owner and blob."""
        self._held: set[tuple[str, str]] = set()
        self._forgotten = 0
        """How many were forgotten, lest one is remembered that was read before."""
        self._early: dict[str, set[str]] = {}
        """Blobs that came before the log told of them, by task."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._posting = Posting(following)
        self.sending = Sending(self._posting, blobs)
        self.receiving = Receiving(following.link, blobs, self._posting.pause)
        self.logs: Callable[[str, LogLetter], Coroutine[Any, Any, None]] | None = None
        """What is done with a letter that is about a log."""
        self.sums: Callable[[str, SumLetter], Coroutine[Any, Any, None]] | None = None
        """What is done with a letter that is about a masked sum."""
        self._log = structlog.get_logger().bind(organization=following.organization)

    async def has(self, blob: str, *, owner: str) -> bool:
        """Whether the blob is in this node's store and its owner has shown that it has it.

        Another's blob may lie here for other reasons, such as another channel's. Who names its digest must not get at
        it, nor learn that it is here.
        """
        if await asyncio.to_thread(self.blobs.size, Digest(blob)) is None:
            return False
        if self.shown(blob, owner=owner):
            return True
        channel, forgotten = self.following.channel, self._forgotten
        if not await self.following.database.aread(lambda here: released.came(here, channel, owner, blob)):
            return False
        if forgotten == self._forgotten:
            self._held.add((owner, blob))
        return True

    def shown(self, blob: str, *, owner: str) -> bool:
        """Whether its owner is known, without looking, to have shown that it has the blob."""
        return owner == self.following.organization or (owner, blob) in self._held or blob in sums.BLOBS

    async def have(
        self, blob: str, *, owner: str, holds: Held, asset: str, unasked: float = 0.0, size: int | None = None
    ) -> None:
        """Return once this node `has` the blob; ask its owner when it does not, for as long as it takes.

        `unasked` is how many seconds it is waited for before it is asked for, as its owner sends it of its own accord.
        `size` is how many bytes it has to have, where that is known.
        Raises Forbidden when the owner refuses it, NotFound when the owner has it no more.
        """
        loop = asyncio.get_running_loop()
        if await self.has(blob, owner=owner):
            return
        if owner == self.following.organization:
            raise NotFound(f"the blob {blob} of {asset} is gone from this node")
        while True:
            if (arrival := self._arriving.get((owner, blob))) is None:
                if size is None:
                    size = await self.following.read(lambda log: size_of(log, holds, asset))
                patience = SOON if self._under_way(f"take {blob} of {owner}") else unasked
                masked = asset if holds == "masked input" else ""
                arrival = Arrival(loop.create_future(), loop.time(), patience, size, masked=masked)
                arrival = self._arriving.setdefault((owner, blob), arrival)
            if await self.has(blob, owner=owner):
                return self._arrived(owner, blob, None)
            if loop.time() - arrival.heard >= arrival.patience:
                # a letter or a parcel may have been lost with a process that died
                arrival.patience = min(max(PATIENCE, 2 * arrival.patience), LONGEST_PATIENCE)
                arrival.heard = loop.time()
                await self.ask(owner, Wanted(blob=blob, holds=holds, asset=asset, refused=arrival.refused))
            try:
                async with asyncio.timeout_at(arrival.heard + arrival.patience):
                    await asyncio.shield(arrival.future)
            except TimeoutError:
                continue

    async def ask(self, owner: str, letter: Wanted | LogWanted | SumLetter) -> None:
        """Post the letter as soon as the hub is there."""
        for failures in count():
            try:
                return await self.post(owner, letter)
            except Unavailable:
                await self._posting.pause(failures)

    async def deal(self, mail: Mail) -> asyncio.Task[None] | None:
        """Do what a letter asks, in the background; a letter that cannot be read is left aside."""
        here = self.following
        try:
            sender = await here.read(lambda log: need(log.records, Organization, mail.sender))
            way = context(here.link.channel, mail.sender, here.organization)
            letter = open_letter(mail.body, here.identity, sender.keys, way)
            if sender.status != "member":
                raise Forbidden(f"{mail.sender} has left the channel")
        except ComityError as error:
            self._log.warning("letter left aside", sender=mail.sender, reason=str(error))
            return None
        match letter:
            case Wanted():
                return self._start(f"give {letter.blob} to {mail.sender}", self._give(mail.sender, letter))
            case Sent():
                name = f"take {letter.blob} of {mail.sender}"
                if (before := self._under_way(name)) is not None:
                    return self._start(f"{name} again, {mail.id}", self._take(mail.sender, letter, before))
                return self._start(name, self._take(mail.sender, letter))
            case LogWanted() | LogSent() | LogDenied():
                about = letter.parcel if isinstance(letter, LogSent) else letter.task
                name = f"{type(letter).__name__} {about} of {mail.sender}"
                return None if self.logs is None else self._start(name, self.logs(mail.sender, letter))
            case SumLetter():
                name = f"sum {letter.task} of {mail.sender}, {mail.id}"
                return None if self.sums is None else self._start(name, self.sums(mail.sender, letter))
            case Denied():
                reason = f"{mail.sender} does not give {letter.blob}: {letter.reason}"
                self._arrived(mail.sender, letter.blob, Forbidden(reason))
                return None

    def instead(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Work in the background, in place of work of the same name that is still under way."""
        if (before := self._under_way(name)) is not None:
            before.set_name("")
            before.cancel()
        self._start(name, work)

    async def post(self, recipient: str, letter: AnyLetter) -> None:
        """Send a letter to another organization's node; raises NotFound when it has left the channel."""
        await self._posting.post(recipient, letter)

    async def send(self, blob: str, recipients: list[str], *, task: str = "") -> None:
        """Send a blob to organizations that may have it, see `Sending.send`."""
        await self.sending.send(blob, recipients, task=task)

    async def _give(self, sender: str, letter: Wanted) -> None:
        try:
            owner = await self.following.read(lambda log: check_node(log, self.following.organization, sender, letter))
            if owner != self.following.organization:
                raise NotFound(f"{letter.asset} is {owner}'s; ask there")
            if letter.refused:
                await self.sending.renew(letter.blob, letter.refused)
            await self.send(letter.blob, [sender])
        except (Forbidden, NotFound) as error:
            await self.post(sender, Denied(blob=letter.blob, reason=str(error)[:1000]))

    async def _take(self, sender: str, letter: Sent, before: asyncio.Task[None] | None = None) -> None:
        """Take what was sent, unless it is here after `before`; in any case the hub need not keep it any longer."""
        if before is not None:
            await asyncio.wait([before])
        if not await self.has(letter.blob, owner=sender):
            try:
                await self._check_due(sender, letter)
                if not await self.receiving.receive(letter, lambda: self._heard(sender, letter.blob)):
                    return  # it is asked for again when it is needed
            except (DecodeError, Forbidden):
                if arrival := self._arriving.get((sender, letter.blob)):
                    arrival.refused = letter.parcel
                await self.sending.acknowledge(letter.parcel)
                raise
            became = await self.following.database.awrite(lambda connection: self._received(connection, sender, letter))
            if became == "gone":
                return  # as above
            if became == "released":
                self.following.releases.set()
        self._arrived(sender, letter.blob, None)
        await self.sending.acknowledge(letter.parcel)

    def _received(self, connection: Connection, sender: str, letter: Sent) -> Literal["kept", "released", "gone"]:
        """Note who has sent a blob that came.

        Released: since it was asked for, so that it is to be deleted again. Gone: it is deleted already, as the same
        blob of another.
        """
        if self.blobs.size(Digest(letter.blob)) is None:
            return "gone"
        here, channel = self.following, self.following.channel
        upsert(connection, schema.held, [{"channel": channel, "owner": sender, "blob": letter.blob}])
        arrival = self._arriving.get((sender, letter.blob))
        summed = here.log(connection).records.get(MaskedSum, arrival.masked) if arrival is not None else None
        if released.named(connection, channel, sender, letter.blob) or (summed is not None and summed.status == "open"):
            return "kept"
        if due(here.log(connection), here.organization, sender, letter):
            return "kept"
        released.remember(connection, channel, sender, letter.blob)
        return "released"

    async def _check_due(self, sender: str, letter: Sent) -> None:
        """Raises Forbidden for a blob that this node has no use for: a member could fill its disk with them."""
        arrival = self._arriving.get((sender, letter.blob))
        if arrival is not None:
            if letter.size > LARGEST if arrival.size is None else letter.size != arrival.size:
                most = f"at most {LARGEST}" if arrival.size is None else arrival.size
                raise Forbidden(f"the blob {letter.blob} is announced with {letter.size} bytes; it has {most}")
            return
        most = await self.following.read(lambda log: due(log, self.following.organization, sender, letter))
        early = self._early.setdefault(letter.task, set()) if most else set[str]()
        if letter.blob not in early and len(early) >= most:
            raise Forbidden(f"nobody here has asked for {letter.blob}, or waits for it")
        early.add(letter.blob)

    def _heard(self, sender: str, blob: str) -> None:
        if arrival := self._arriving.get((sender, blob)):
            arrival.heard = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Leave what is under way; it is asked for again, and taken up where it ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sending.close()
        self.receiving.close()

    def forget(self, connection: Connection, owner: str, blob: str) -> None:
        """Drop what is known of an owner's blob, its content key or that it came; call `forgot` once it is done."""
        if owner == self.following.organization:
            return self.sending.forget(connection, blob)
        table = schema.held
        here = (table.c.channel == self.following.channel) & (table.c.blob == blob) & (table.c.owner == owner)
        connection.execute(delete(table).where(here))

    def forgot(self, owner: str, blob: str) -> None:
        """The owner's blob is known no more."""
        self._forgotten += 1
        self._held.discard((owner, blob))

    def _arrived(self, owner: str, blob: str, error: Exception | None) -> None:
        arrival = self._arriving.pop((owner, blob), None)
        if arrival is None or arrival.future.done():
            return
        if error is None:
            arrival.future.set_result(None)
        else:
            arrival.future.set_exception(error)

    def _under_way(self, name: str) -> asyncio.Task[None] | None:
        return next((task for task in self._tasks if task.get_name() == name), None)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work in the background, unless the same is under way."""
        if (task := self._under_way(name)) is not None:
            work.close()
            return task
        task = asyncio.create_task(self._guarded(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # of one that was cancelled before it began
        return task

    async def _guarded(self, name: str, work: Any) -> None:
        try:
            await work
        except (ComityError, OSError) as error:
            self._log.warning("exchange failed", what=name, reason=str(error))
