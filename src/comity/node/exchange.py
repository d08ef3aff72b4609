"""Blobs between nodes: asked for by letter, sent as sealed parcels, each piece verified on arrival."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, final

import msgspec
import structlog
from sqlalchemy import Connection, delete, select

from comity.adapters.sql.log import Log
from comity.adapters.sql.records import upsert
from comity.domain.entry import canonical
from comity.domain.letter import AnyLetter, Denied, Holds, Sent, Wanted, context, open_letter, seal
from comity.domain.records import Dataset, Function, Model, Organization, need
from comity.node import schema
from comity.node.following import Following
from comity.node.news import Mail
from comity.ports.blobs import Blobs
from comity.values.digest import Digest
from comity.values.errors import ComityError, DecodeError, Forbidden, NotFound, Unavailable
from comity.values.keys import from_base64, to_base64
from comity.values.stream import CHUNK, KEY, SEALED_CHUNK, open_chunks, seal_chunks, sealed_size

PATIENCE = 3.0
"""Seconds without a byte after which a blob is asked for again, and twice as many each time after that."""

LONGEST_PATIENCE = 300.0

ATTEMPTS = 8
"""How often in a row a parcel is taken up again without a byte more."""

RECEIVING = 16
"""Parcels that are received at once. Each holds a thread while it comes, which must not be one that reading needs."""

PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before it is; each is drawn at random up to these."""


@final
@dataclass
class Arrival:
    """A blob that is awaited here."""

    owner: str
    future: asyncio.Future[None]
    heard: float
    """When it was asked for, or a byte of it came, by the event loop's clock."""
    patience: float = PATIENCE


@final
class Exchange:
    """One channel's blobs at one node."""

    def __init__(self, following: Following, blobs: Blobs) -> None:
        self.following = following
        self.blobs = blobs
        self._arriving: dict[str, Arrival] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(RECEIVING, thread_name_prefix="receiving")
        self._log = structlog.get_logger().bind(organization=following.organization)

    async def have(self, blob: str, *, owner: str, holds: Holds, asset: str) -> None:
        """Return once the blob is in this node's store; ask its owner when it is not, for as long as it takes.

        Raises Forbidden when the owner refuses it, NotFound when the owner has it no more.
        """
        name, loop = Digest(blob), asyncio.get_running_loop()
        while True:
            arrival = self._arriving.get(blob)
            if arrival is None:
                heard = loop.time() if self._under_way(f"take {blob}") else -math.inf
                arrival = self._arriving[blob] = Arrival(owner, loop.create_future(), heard)
            if await asyncio.to_thread(self.blobs.size, name) is not None:
                return self._arrived(blob, None)
            if owner == self.following.organization:
                raise NotFound(f"the blob {blob} of {asset} is gone from this node")
            if loop.time() - arrival.heard >= arrival.patience:
                # a letter or a parcel may have been lost with a process that died
                if arrival.heard > -math.inf:
                    arrival.patience = min(2 * arrival.patience, LONGEST_PATIENCE)
                arrival.heard = loop.time()
                await self._ask(owner, Wanted(blob=blob, holds=holds, asset=asset))
            try:
                async with asyncio.timeout(PATIENCE):
                    await asyncio.shield(arrival.future)
            except TimeoutError:
                continue

    async def _ask(self, owner: str, letter: Wanted) -> None:
        """Post the letter as soon as the hub is there."""
        for pause in chain(PAUSES, repeat(PAUSES[-1])):
            try:
                return await self.post(owner, letter)
            except Unavailable:
                await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Wait until it is worth another attempt at reaching the hub."""
        await asyncio.sleep(random.random() * seconds)
        await self.following.caught_up()

    async def post(self, recipient: str, letter: AnyLetter) -> None:
        """Send a letter to another organization's node; raises NotFound when it has left the channel."""
        here = self.following
        member = await here.read(lambda log: need(log.records, Organization, recipient))
        if member.status != "member":
            raise NotFound(f"{recipient} has left the channel; what only its node has cannot be had any more")
        way = context(here.link.channel, here.organization, recipient)
        body = seal(letter, here.identity, member.keys, way)
        await self._call("POST", "/mail", {"recipient": recipient, "body": body})

    async def deal(self, mail: Mail) -> asyncio.Task[None] | None:
        """Do what a letter asks, in the background; a letter that cannot be read is left aside."""
        here = self.following
        try:
            sender = await here.read(lambda log: need(log.records, Organization, mail.sender))
            way = context(here.link.channel, mail.sender, here.organization)
            letter = open_letter(mail.body, here.identity, sender.keys, way)
        except ComityError as error:
            self._log.warning("letter left aside", sender=mail.sender, reason=str(error))
            return None
        match letter:
            case Wanted():
                return self._start(f"give {letter.blob} to {mail.sender}", self._give(mail.sender, letter))
            case Sent():
                return self._start(f"take {letter.blob}", self._take(mail.sender, letter))
            case Denied():
                arrival = self._arriving.get(letter.blob)
                if arrival is not None and arrival.owner == mail.sender:
                    reason = f"{mail.sender} does not give {letter.blob}: {letter.reason}"
                    self._arrived(letter.blob, Forbidden(reason))
                return None

    async def send(self, blob: str, recipients: list[str]) -> None:
        """Send a blob to organizations that may have it, sealed once for all of them.

        Raises Unavailable when the hub does not take it after several attempts.
        """
        size = await asyncio.to_thread(self.blobs.size, Digest(blob))
        if size is None:
            raise NotFound(f"the blob {blob} is gone from this node")
        parcel, key = await self.following.database.awrite(lambda connection: self._parcel(connection, blob))
        total, before, told, failures = sealed_size(size), 0, set[str](), 0
        sent = Sent(blob=blob, parcel=parcel, size=size, key=to_base64(key))
        while True:
            try:
                announce = {"size": total, "recipients": recipients}
                received = (await self._call("POST", f"/parcels/{parcel}", announce))["received"]
                for recipient in recipients:
                    if recipient not in told:
                        await self.post(recipient, sent)  # it follows while the parcel still arrives
                        told.add(recipient)
                failures = failures if received == before else 0
                if received < total:
                    before = received
                    await self._upload(blob, parcel, key, received)
                return
            except Unavailable:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                await self._pause(PAUSES[min(failures, len(PAUSES) - 1)])

    async def _upload(self, blob: str, parcel: str, key: bytes, received: int) -> None:
        """Send what the hub has not received yet."""
        first = received // SEALED_CHUNK
        pieces = seal_chunks(key, self.blobs.open(Digest(blob), first * CHUNK), first=first)
        target = f"/parcels/{parcel}/bytes?offset={received}"
        try:
            await self.following.link.upload(target, _stream(pieces, received - first * SEALED_CHUNK))
        except ComityError as error:
            raise Unavailable(f"the hub did not take the parcel of {blob}: {error}") from error

    async def _call(self, method: str, target: str, body: Any = None) -> Any:
        """What the hub answers; raises Unavailable.

        Whatever it refuses it may grant later, when it has got back what it lost, or this node's news have come.
        """
        try:
            answer = await self.following.link.call(method, target, b"" if body is None else canonical(body))
            return msgspec.json.decode(answer)
        except (ComityError, msgspec.MsgspecError) as error:
            raise Unavailable(f"the hub did not take {method} {target.partition('?')[0]}: {error}") from error

    async def _give(self, sender: str, letter: Wanted) -> None:
        try:
            await self.following.read(lambda log: check(log, sender, letter))
            await self.send(letter.blob, [sender])
        except (Forbidden, NotFound) as error:
            await self.post(sender, Denied(blob=letter.blob, reason=str(error)[:1000]))

    async def _take(self, sender: str, letter: Sent) -> None:
        if await asyncio.to_thread(self.blobs.size, Digest(letter.blob)) is None and not await self._receive(letter):
            return  # it is asked for again when it is needed
        self._arrived(letter.blob, None)
        await self._acknowledge(letter.parcel)

    async def _acknowledge(self, parcel: str) -> None:
        """Let the hub forget a parcel."""
        for pause in PAUSES:
            with suppress(Unavailable):
                return await self._call("DELETE", f"/parcels/{parcel}")
            await self._pause(pause)

    async def _receive(self, letter: Sent) -> bool:
        """Whether the parcel came whole and is in the store.

        Raises DecodeError for one that is not what was promised; it is then acknowledged, so that a new one can come.
        """
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=4)
        put: asyncio.Future[Any] | None = None
        have = 0
        try:
            async for piece in self._pieces(letter):
                put = put or self._put(letter, queue)
                have += len(piece)
                await _either(queue.put(piece), put)
                if put.done():
                    break
            if put is not None:
                await _either(queue.put(None), put)
                await put
        except DecodeError as error:
            self._log.warning("parcel refused", parcel=letter.parcel, blob=letter.blob, reason=str(error))
            if have >= sealed_size(letter.size):
                await self._acknowledge(letter.parcel)
            raise
        finally:
            if put is not None and not put.done():
                await _either(queue.put(None), put)
                await asyncio.wait([put])  # its thread needs this loop to end
        return put is not None

    def _put(self, letter: Sent, queue: asyncio.Queue[bytes | None]) -> asyncio.Future[Any]:
        """The store receiving, in a thread of its own, what comes through the queue."""
        loop, key = asyncio.get_running_loop(), from_base64(letter.key, KEY)

        def pieces() -> Iterator[bytes]:
            while (piece := asyncio.run_coroutine_threadsafe(queue.get(), loop).result()) is not None:
                yield piece

        return loop.run_in_executor(self._threads, self.blobs.put, open_chunks(key, pieces()), Digest(letter.blob))

    async def _pieces(self, letter: Sent) -> AsyncIterator[bytes]:
        """The parcel as it comes; ends early when no more of it does."""
        total, have, failures = sealed_size(letter.size), 0, 0
        loop = asyncio.get_running_loop()
        while have < total and failures < ATTEMPTS:
            before = have
            try:
                async for piece in self.following.link.download(f"/parcels/{letter.parcel}/bytes?offset={have}"):
                    have += len(piece)
                    if (arrival := self._arriving.get(letter.blob)) is not None:
                        arrival.heard = loop.time()
                    yield piece
                if have == 0:
                    return  # who was to send it has died; nothing is lost by letting go of it
            except Unavailable:
                await self._pause(PAUSES[min(failures, len(PAUSES) - 1)])
            failures = failures + 1 if have == before else 0

    async def close(self) -> None:
        """Leave what is under way; it is asked for again, and taken up where it ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False)

    def _parcel(self, connection: Connection, blob: str) -> tuple[str, bytes]:
        """The blob's parcel and content key, made and kept before the first byte leaves."""
        table, channel = schema.parcels, self.following.channel
        found = connection.execute(select(table).where(table.c.channel == channel, table.c.blob == blob)).first()
        if found is not None:
            return found.parcel, found.key
        parcel, key = secrets.token_hex(16), secrets.token_bytes(KEY)
        upsert(connection, table, [{"channel": channel, "blob": blob, "parcel": parcel, "key": key}])
        return parcel, key

    def forget(self, connection: Connection, blob: str) -> None:
        """Drop a blob's content key along with the blob."""
        table = schema.parcels
        here = table.c.channel == self.following.channel
        connection.execute(delete(table).where(here, table.c.blob == blob))

    def _arrived(self, blob: str, error: Exception | None) -> None:
        arrival = self._arriving.pop(blob, None)
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
        return task

    async def _guarded(self, name: str, work: Any) -> None:
        try:
            await work
        except ComityError as error:
            self._log.warning("exchange failed", what=name, reason=str(error))


def check(log: Log, organization: str, letter: Wanted) -> None:
    """Raise Forbidden or NotFound unless the organization may have this blob of this asset."""
    records = log.records
    match letter.holds:
        case "model":
            model = need(records, Model, letter.asset)
            held, permission, owner = {model.blob}, model.permission, model.owner
        case "archive" | "function description":
            function = need(records, Function, letter.asset)
            held, permission, owner = {function.archive, function.description}, function.permission, function.owner
        case "opener" | "dataset description":
            dataset = need(records, Dataset, letter.asset)
            held, permission, owner = {dataset.opener, dataset.description}, dataset.permission, dataset.owner
    if letter.blob not in held:
        raise NotFound(f"{letter.asset} has no blob {letter.blob}")
    if not permission.allows(organization, owner):
        raise Forbidden(f"{organization} may not process {letter.asset}")


async def _stream(pieces: Iterator[bytes], skip: int) -> AsyncIterator[bytes]:
    """Sealed pieces, made in another thread; the first `skip` bytes are at the hub already."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        if skip:
            piece, skip = piece[skip:], 0
        yield piece


async def _either(work: Coroutine[Any, Any, None], end: asyncio.Future[Any]) -> None:
    """Return once `work` is done, or `end` is, after which nobody waits for it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task, end], return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
