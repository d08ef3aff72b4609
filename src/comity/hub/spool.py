"""Parcels on their way: sealed blobs, spooled to files, read by recipients while they still arrive."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, final

from comity.values.errors import Conflict, InvalidInput, Unavailable

PIECE = 1 << 20
"""Bytes of a parcel read or written at a time, at most."""

SMALL = 1 << 16
"""The same, at least."""

SENT = 100 << 10
"""Bytes of a piece that is sent: what is copied on its way stays in the processor's cache, and in the heap."""

HELD = 4 << 20
"""Bytes that pieces of all parcels together may have, unless there are more than 64 of them at once."""

MOST = 1000
"""Pieces that are written at once: small ones cost more than their bytes."""

SLOW = 0.2
"""Seconds after which what has come is written in any case, since recipients may wait for it."""


@final
class Spool:
    """Files of a directory, one for each parcel of a channel."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._grown: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._writing: set[str] = set()
        self._reading = 0

    def received(self, name: str) -> int:
        """How many bytes have arrived."""
        path = self._directory / name
        return path.stat().st_size if path.exists() else 0

    def free(self) -> int:
        """Bytes that the disk has room for."""
        return shutil.disk_usage(self._directory).free

    def check_room(self, size: int, free: int) -> None:
        """Raises Unavailable when so many more bytes would leave less than `free` on the disk."""
        if self.free() - size < free:
            raise Unavailable(f"the hub's disk has no room for {size} more bytes; try later, or give it more room")

    async def write(self, name: str, offset: int, size: int, pieces: AsyncIterator[bytes]) -> int:
        """Append pieces from an offset on, which must be where the parcel ends so far; return its new length.

        What arrived stays when the sender is cut off: it goes on from `received`. Raises Conflict for another
        offset or while another upload of it runs, InvalidInput when more than `size` bytes come.
        """
        if name in self._writing:
            raise Conflict(f"the parcel {name} is being uploaded already")
        self._writing.add(name)
        try:
            have = await asyncio.to_thread(self.received, name)
            if offset != have:
                raise Conflict(f"the parcel {name} has {have} bytes here; go on from there, not from {offset}")
            # Opened and closed not in a thread: who is cancelled meanwhile could not close it. All is flushed before.
            with (self._directory / name).open("ab") as file:
                async for gathered in _gathered(pieces, self._most):
                    have += sum(len(each) for each in gathered)
                    if have > size:
                        raise InvalidInput(f"the parcel {name} was announced with {size} bytes, more have come")
                    await asyncio.to_thread(_append, file, gathered)
                    self._wake(name)
        finally:
            self._writing.discard(name)
            self._wake(name)
        return have

    async def read(self, name: str, offset: int, size: int, seconds: float) -> AsyncIterator[bytes]:
        """The parcel's bytes from an offset on, as they arrive; ends early when none come for so long."""
        self._reading += 1
        file: BinaryIO | None = None
        piece = memoryview(bytearray(self._most()))
        try:
            while offset < size:
                event = self._grown[name]
                file = file or self._opened(name)
                if len(piece) > 2 * self._most():  # not a new one each time: the system would clear its pages
                    piece = memoryview(bytearray(self._most()))
                got = await asyncio.to_thread(os.preadv, file.fileno(), [piece], offset) if file else 0
                for start in range(0, got, SENT):
                    yield bytes(piece[start : min(got, start + SENT)])
                offset += got
                if got:
                    continue
                try:
                    async with asyncio.timeout(seconds):
                        await event.wait()
                except TimeoutError:
                    return
        finally:
            self._reading -= 1
            if file:
                file.close()

    def remove(self, name: str) -> None:
        """Forget a parcel."""
        (self._directory / name).unlink(missing_ok=True)
        self._wake(name)

    def keep_only(self, names: set[str]) -> None:
        """Forget every other parcel that is not being written."""
        for path in self._directory.iterdir():
            if path.name not in names and path.name not in self._writing:
                self.remove(path.name)

    def _opened(self, name: str) -> BinaryIO | None:
        """The parcel's file; None while nothing of it is here."""
        try:
            return (self._directory / name).open("rb", buffering=0)
        except FileNotFoundError:
            return None

    def _most(self) -> int:
        """Bytes of a piece, so that memory does not grow with parcels that are on their way at once."""
        return max(SMALL, min(PIECE, HELD // max(1, self._reading + len(self._writing))))

    def _wake(self, name: str) -> None:
        self._grown.pop(name, asyncio.Event()).set()


async def _gathered(pieces: AsyncIterator[bytes], most: Callable[[], int]) -> AsyncIterator[list[bytes]]:
    """The same bytes, many pieces together, unless they come slowly; also those from before the sender is cut off."""
    held, size, since = list[bytes](), 0, time.monotonic()
    try:
        async for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= most() or len(held) == MOST or time.monotonic() - since > SLOW:
                yield held
                held, size, since = [], 0, time.monotonic()
    except Exception:
        if held:
            yield held
        raise
    if held:
        yield held


def _append(file: BinaryIO, pieces: list[bytes]) -> None:
    file.writelines(pieces)
    file.flush()
