"""Logs between nodes: asked for by letter, sent as sealed parcels, and kept by nobody on the way.

Where a log lies, and who may read it, follows from the channel's log; the owner's node looks itself before it gives
one. A log that came is handed to whoever waits for it and is then gone.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import final

from comity.domain.letter import LogDenied, LogLetter, LogSent, LogWanted
from comity.node.exchange import PATIENCE, Exchange
from comity.node.logs import LARGEST, read_end, whereabouts
from comity.node.sending import Parcel
from comity.values.errors import ComityError, DecodeError, Forbidden, NotFound
from comity.values.keys import to_base64
from comity.values.stream import KEY


@final
@dataclass
class Reading:
    """A log that is awaited from its owner."""

    future: asyncio.Future[bytes]
    readers: int = 0


@final
class LogLetters:
    """One channel's logs at one node; they lie in a folder."""

    def __init__(self, exchange: Exchange, folder: Path) -> None:
        self._exchange = exchange
        self._following = exchange.following
        self._folder = folder
        self._reading: dict[tuple[str, str], Reading] = {}
        """By owner and task."""

    async def have(self, task: str, owner: str) -> bytes:
        """The log of a task, from the node where it lies; it is asked for as long as it takes.

        Raises Forbidden when the owner refuses it, NotFound when it has it no more.
        """
        key, wait = (owner, task), PATIENCE
        first = key not in self._reading
        reading = self._reading.setdefault(key, Reading(asyncio.get_running_loop().create_future()))
        reading.readers += 1
        try:
            if first:
                await self._exchange.ask(owner, LogWanted(task=task))
            while True:
                done, _ = await asyncio.wait([reading.future], timeout=wait)
                if done:
                    return reading.future.result()
                # a letter or a parcel may have been lost with a process that died
                await self._exchange.ask(owner, LogWanted(task=task))
                wait *= 2
        finally:
            reading.readers -= 1
            if not reading.readers and self._reading.get(key) is reading:
                del self._reading[key]

    async def deal(self, sender: str, letter: LogLetter) -> None:
        """Do what a letter asks, or take what it brings."""
        match letter:
            case LogWanted():
                await self._give(sender, letter.task)
            case LogSent():
                await self._take(sender, letter)
            case LogDenied():
                kind = NotFound if letter.missing else Forbidden
                self._arrived(sender, letter.task, kind(f"{sender} does not give the log: {letter.reason}"))

    async def given(self, organization: str, task: str) -> bytes:
        """What an organization gets that asks for the log of a task; raises Forbidden or NotFound."""
        here = self._following
        where = await here.read(lambda log: whereabouts(log, organization, task))
        if where.owner != here.organization:
            raise NotFound(f"the log of task {task} lies at {where.owner}; ask there")
        return await asyncio.to_thread(read_end, self._folder, where)

    async def _give(self, sender: str, task: str) -> None:
        try:
            data = await self.given(sender, task)
        except (Forbidden, NotFound) as error:
            missing = isinstance(error, NotFound)
            return await self._exchange.post(sender, LogDenied(task=task, reason=str(error)[:1000], missing=missing))
        # A key of its own each time it is sent: a log may have grown, and one key never seals two plaintexts.
        name, key = secrets.token_hex(16), secrets.token_bytes(KEY)
        parcel = Parcel(name, key, len(data), lambda offset: iter([data[offset:]]))
        sent = LogSent(task=task, parcel=name, size=len(data), key=to_base64(key))
        await self._exchange.sending.bring(parcel, [sender], sent)

    async def _take(self, sender: str, letter: LogSent) -> None:
        try:
            if (sender, letter.task) in self._reading:
                if letter.size > 2 * LARGEST:
                    raise DecodeError(f"the log of task {letter.task} is announced with {letter.size} bytes")
                self._arrived(sender, letter.task, await self._exchange.receiving.read(letter))
        except DecodeError as error:
            self._arrived(sender, letter.task, error)
            raise
        finally:
            await self._exchange.sending.acknowledge(letter.parcel)

    def _arrived(self, owner: str, task: str, what: bytes | ComityError) -> None:
        reading = self._reading.pop((owner, task), None)
        if reading is None or reading.future.done():
            return
        if isinstance(what, ComityError):
            reading.future.set_exception(what)
        else:
            reading.future.set_result(what)
