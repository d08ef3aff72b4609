"""Blobs between nodes: asked for by letter, sent as sealed parcels, each piece verified on arrival."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
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
from comity.values.errors import ComityError, Conflict, DecodeError, Forbidden, NotFound, Unavailable
from comity.values.keys import from_base64, to_base64
from comity.values.stream import CHUNK, KEY, SEALED_CHUNK, open_chunks, seal_chunks, sealed_size

PATIENCE = 10.0
"""Seconds after which a blob that was asked for is asked for again."""

ATTEMPTS = 8
"""How often a parcel is taken up again before the blob is asked for anew."""


@final
class Exchange:
    """One channel's blobs at one node."""

    def __init__(self, following: Following, blobs: Blobs) -> None:
        self.following = following
        self.blobs = blobs
        self._arriving: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger().bind(organization=following.organization)

    async def have(self, blob: str, *, owner: str, holds: Holds, asset: str) -> None:
        """Return once the blob is in this node's store; ask its owner when it is not.

        Raises Forbidden when the owner refuses it, NotFound when the owner has it no more.
        """
        name = Digest(blob)
        while await asyncio.to_thread(self.blobs.size, name) is None:
            if owner == self.following.organization:
                raise NotFound(f"the blob {blob} of {asset} is gone from this node")
            future = self._arriving.get(blob)
            if future is None:
                future = self._arriving[blob] = asyncio.get_running_loop().create_future()
                if await asyncio.to_thread(self.blobs.size, name) is not None:  # it came meanwhile
                    self._arrived(blob, None)
                    return
                await self._ask(owner, Wanted(blob=blob, holds=holds, asset=asset))
            try:
                async with asyncio.timeout(PATIENCE):
                    await asyncio.shield(future)
            except TimeoutError:
                if self._arriving.get(blob) is future and not self._is_coming(blob):
                    del self._arriving[blob]

    async def _ask(self, owner: str, letter: Wanted) -> None:
        """Post the letter as soon as the hub is there."""
        while True:
            try:
                return await self.post(owner, letter)
            except Unavailable:
                await self.following.caught_up()
                await asyncio.sleep(secrets.SystemRandom().random())

    async def post(self, recipient: str, letter: AnyLetter) -> None:
        """Send a letter to another organization's node."""
        here = self.following
        member = await here.read(lambda log: need(log.records, Organization, recipient))
        way = context(here.link.channel, here.organization, recipient)
        body = seal(letter, here.identity, member.keys, way)
        await here.link.call("POST", "/mail", canonical({"recipient": recipient, "body": body}))

    async def deal(self, mail: Mail) -> None:
        """Do what a letter asks, in the background; a letter that cannot be read is left aside."""
        here = self.following
        try:
            sender = await here.read(lambda log: need(log.records, Organization, mail.sender))
            way = context(here.link.channel, mail.sender, here.organization)
            letter = open_letter(mail.body, here.identity, sender.keys, way)
        except ComityError as error:
            self._log.warning("letter left aside", sender=mail.sender, reason=str(error))
            return
        match letter:
            case Wanted():
                self._start(f"give {letter.blob}", self._give(mail.sender, letter))
            case Sent():
                self._start(f"take {letter.blob}", self._take(mail.sender, letter))
            case Denied():
                self._arrived(letter.blob, Forbidden(f"{mail.sender} does not give {letter.blob}: {letter.reason}"))

    async def send(self, blob: str, recipients: list[str]) -> None:
        """Send a blob to organizations that may have it, sealed once for all of them."""
        here = self.following
        size = await asyncio.to_thread(self.blobs.size, Digest(blob))
        if size is None:
            raise NotFound(f"the blob {blob} is gone from this node")
        parcel, key = await here.database.awrite(lambda connection: self._parcel(connection, blob))
        total = sealed_size(size)
        announce = canonical({"size": total, "recipients": recipients})
        received = msgspec.json.decode(await here.link.call("POST", f"/parcels/{parcel}", announce))["received"]
        sent = Sent(blob=blob, parcel=parcel, size=size, key=to_base64(key))
        for recipient in recipients:
            await self.post(recipient, sent)  # it follows while the parcel still arrives
        for attempt in range(ATTEMPTS):
            if received >= total:
                return
            first = received // SEALED_CHUNK
            skip = received - first * SEALED_CHUNK
            pieces = seal_chunks(key, self.blobs.open(Digest(blob), first * CHUNK), first=first)
            try:
                answer = await here.link.upload(f"/parcels/{parcel}/bytes?offset={received}", _stream(pieces, skip))
            except (Unavailable, Conflict):
                await asyncio.sleep(0.2 * 2**attempt * secrets.SystemRandom().random())
                answer = await here.link.call("GET", f"/parcels/{parcel}")
            received = msgspec.json.decode(answer)["received"]
        raise Unavailable(f"the blob {blob} could not be sent in {ATTEMPTS} attempts")

    async def _give(self, sender: str, letter: Wanted) -> None:
        try:
            await self.following.read(lambda log: check(log, sender, letter))
            await self.send(letter.blob, [sender])
        except (Forbidden, NotFound) as error:
            await self.post(sender, Denied(blob=letter.blob, reason=str(error)[:1000]))

    async def _take(self, sender: str, letter: Sent) -> None:
        name, here = Digest(letter.blob), self.following
        key = from_base64(letter.key, KEY)
        if await asyncio.to_thread(self.blobs.size, name) is None:
            queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=4)
            loop = asyncio.get_running_loop()

            def pieces() -> Iterator[bytes]:
                while (piece := asyncio.run_coroutine_threadsafe(queue.get(), loop).result()) is not None:
                    yield piece

            put = asyncio.create_task(asyncio.to_thread(self.blobs.put, open_chunks(key, pieces()), name))
            try:
                await self._receive(letter, queue, put)
            finally:
                if not put.done():
                    await queue.put(None)
            try:
                await put
            except DecodeError as error:
                self._log.warning("parcel refused", sender=sender, blob=letter.blob, reason=str(error))
                raise
        await here.link.call("DELETE", f"/parcels/{letter.parcel}")
        self._arrived(letter.blob, None)

    async def _receive(self, letter: Sent, queue: asyncio.Queue[bytes | None], put: asyncio.Task[Any]) -> None:
        total, have = sealed_size(letter.size), 0
        for attempt in range(ATTEMPTS):
            try:
                async for piece in self.following.link.download(f"/parcels/{letter.parcel}/bytes?offset={have}"):
                    have += len(piece)
                    while not put.done():
                        try:
                            async with asyncio.timeout(5):
                                await queue.put(piece)
                            break
                        except TimeoutError:
                            continue
                    if put.done():
                        return
            except Unavailable:
                await asyncio.sleep(0.2 * 2**attempt * secrets.SystemRandom().random())
            if have >= total:
                return

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

    def _is_coming(self, blob: str) -> bool:
        return any(task.get_name() == f"take {blob}" for task in self._tasks)

    def _arrived(self, blob: str, error: Exception | None) -> None:
        future = self._arriving.pop(blob, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def _start(self, name: str, work: Any) -> None:
        if any(task.get_name() == name for task in self._tasks):
            work.close()
            return
        task = asyncio.create_task(self._guarded(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
