"""What is on its way out: sealed once and uploaded once, for however many recipients, each of them told by letter."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import final

from sqlalchemy import Connection, delete, select

from comity.adapters.sql.records import upsert
from comity.domain.letter import LogSent, Sent
from comity.node import schema
from comity.node.posting import Posting
from comity.node.receiving import ATTEMPTS
from comity.ports.blobs import Blobs
from comity.values.digest import Digest
from comity.values.errors import ComityError, NotFound, Unavailable
from comity.values.keys import to_base64
from comity.values.stream import CHUNK, KEY, SEALED_CHUNK, seal_chunks, sealed_size

SENT = 1 << 18
"""Bytes of a piece that is sent: what is copied on its way stays in the processor's cache."""


@final
@dataclass(frozen=True)
class Parcel:
    """Something that is sent sealed, under a key that seals nothing else."""

    name: str
    key: bytes
    size: int
    """Bytes of it before it is sealed."""
    open: Callable[[int], Iterator[bytes]]
    """Those from an offset on."""


@final
class Sending:
    """What goes from this node to others in one channel."""

    def __init__(self, posting: Posting, blobs: Blobs) -> None:
        self._posting = posting
        self._following = posting.following
        self._blobs = blobs
        self._uploads: dict[str, asyncio.Task[None]] = {}
        """By parcel: who wants it sent meanwhile waits for the upload that is under way."""

    async def send(self, blob: str, recipients: list[str], *, task: str = "") -> None:
        """Send a blob to organizations that may have it, sealed once for all of them.

        Those who have not asked for it take it as an output of this task. Raises Unavailable when the hub does not
        take it after several attempts, NotFound when it is gone, or every recipient has left the channel.
        """
        size = await asyncio.to_thread(self._blobs.size, Digest(blob))
        if size is None:
            raise NotFound(f"the blob {blob} is gone from this node")
        name, key = await self._following.database.awrite(lambda connection: self._parcel(connection, blob))
        parcel = Parcel(name, key, size, lambda offset: self._blobs.open(Digest(blob), offset))
        await self.bring(parcel, recipients, Sent(blob=blob, parcel=name, size=size, key=to_base64(key), task=task))

    async def bring(self, parcel: Parcel, recipients: list[str], letter: Sent | LogSent) -> None:
        """Bring a parcel to the hub, and its letter to each recipient, who takes it while it still arrives.

        Raises Unavailable when the hub does not take it after several attempts, NotFound when every recipient has left
        the channel.
        """
        letters = await self._posting.sealed(recipients, letter)
        if not letters:
            raise NotFound("whoever was to have it has left the channel")
        total, before, failures = sealed_size(parcel.size), 0, 0
        announce = {"size": total, "recipients": [*letters], "letters": letters}
        while True:
            try:
                received = (await self._posting.call("POST", f"/parcels/{parcel.name}", announce))["received"]
                announce["letters"] = {}  # they are on their way
                failures = failures if received == before else 0
                before = received
                if received < total:
                    await self._uploaded(parcel, received)
                return
            except Unavailable:
                announce["letters"] = (
                    letters  # the hub may have forgotten it; who gets a letter twice acknowledges twice
                )
                failures += 1
                if failures == ATTEMPTS:
                    raise
                await self._posting.pause(failures)

    async def renew(self, blob: str, refused: str) -> None:
        """What arrived as this parcel was not the blob: either it is damaged here, or its parcel was on the way.

        Raises NotFound when it is damaged; else it is sealed anew when it is sent again.
        """
        if await asyncio.to_thread(_digest, self._blobs, Digest(blob)) != blob:
            raise NotFound(f"it is damaged at {self._following.organization}")
        table, channel = schema.parcels, self._following.channel
        here = (table.c.channel == channel) & (table.c.blob == blob) & (table.c.parcel == refused)
        if await self._following.database.awrite(
            lambda connection: connection.execute(delete(table).where(here)).rowcount
        ):
            await self.acknowledge(refused)

    async def acknowledge(self, parcel: str) -> None:
        """Let the hub forget a parcel."""
        for failures in range(ATTEMPTS):
            try:
                return await self._posting.call("DELETE", f"/parcels/{parcel}")
            except Unavailable:
                await self._posting.pause(failures)

    def forget(self, connection: Connection, blob: str) -> None:
        """Drop a blob's content key along with the blob."""
        table = schema.parcels
        here = table.c.channel == self._following.channel
        connection.execute(delete(table).where(here, table.c.blob == blob))

    async def close(self) -> None:
        """Leave what is under way; it goes on from where the hub has it when it is asked for."""
        for each in self._uploads.values():
            each.cancel()
        await asyncio.gather(*self._uploads.values(), return_exceptions=True)

    async def _uploaded(self, parcel: Parcel, received: int) -> None:
        """Return once the hub has all of the parcel, of which it has received so many bytes."""
        upload = before = self._uploads.get(parcel.name)
        if upload is None:
            upload = self._uploads[parcel.name] = asyncio.create_task(self._upload(parcel, received))
            upload.add_done_callback(lambda ended: self._over(parcel.name, ended))
        try:
            await asyncio.shield(upload)
        except NotFound as error:
            # Every recipient has acknowledged it: they had it from before, else they will ask for it.
            if before is not None:
                raise Unavailable(f"the parcel {parcel.name} was forgotten before it was announced again") from error

    async def _upload(self, parcel: Parcel, received: int) -> None:
        first = received // SEALED_CHUNK
        pieces = seal_chunks(parcel.key, parcel.open(first * CHUNK), first=first)
        target = f"/parcels/{parcel.name}/bytes?offset={received}"
        try:
            await self._following.link.upload(target, _stream(pieces, received - first * SEALED_CHUNK))
        except NotFound:
            raise
        except ComityError as error:
            raise Unavailable(f"the hub did not take the parcel {parcel.name}: {error}") from error

    def _over(self, parcel: str, upload: asyncio.Task[None]) -> None:
        del self._uploads[parcel]
        if not upload.cancelled():
            upload.exception()  # known by whoever still waits

    def _parcel(self, connection: Connection, blob: str) -> tuple[str, bytes]:
        """The blob's parcel and content key, made and kept before the first byte leaves."""
        table, channel = schema.parcels, self._following.channel
        found = connection.execute(select(table).where(table.c.channel == channel, table.c.blob == blob)).first()
        if found is not None:
            return found.parcel, found.key
        parcel, key = secrets.token_hex(16), secrets.token_bytes(KEY)
        upsert(connection, table, [{"channel": channel, "blob": blob, "parcel": parcel, "key": key}])
        return parcel, key


def _digest(blobs: Blobs, name: Digest) -> str:
    running = sha256()
    for piece in blobs.open(name):
        running.update(piece)
    return f"sha256:{running.hexdigest()}"


async def _stream(pieces: Iterator[bytes], skip: int) -> AsyncIterator[bytes]:
    """Sealed pieces, made in another thread; the first `skip` bytes are at the hub already."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        if skip:
            piece, skip = piece[skip:], 0
        whole = memoryview(piece)
        for start in range(0, len(whole), SENT):
            yield bytes(whole[start : start + SENT])
