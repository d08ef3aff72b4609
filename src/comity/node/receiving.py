"""A parcel on its way into the store: taken up again where it was cut off, each piece verified as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar, final

from comity.domain.letter import LogSent, Sent
from comity.node.downloads import Cancel
from comity.node.link import Link
from comity.ports.blobs import Blobs
from comity.values.digest import Digest
from comity.values.errors import DecodeError, Unavailable
from comity.values.keys import from_base64
from comity.values.stream import KEY, open_chunks, sealed_size

T = TypeVar("T")

OFTEN = 0.1
"""Seconds between two words of a parcel that comes."""

ATTEMPTS = 8
"""How often in a row a parcel is taken up again without a byte more."""

RECEIVING = 16
"""Parcels that are received at once. Each holds a thread while it comes, which must not be one that reading needs."""


@final
class Receiving:
    """Parcels of one channel; `pause` waits after so many failures in a row."""

    def __init__(self, link: Link, blobs: Blobs, pause: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        self._link = link
        self._blobs = blobs
        self._pause = pause
        self._threads = ThreadPoolExecutor(RECEIVING, thread_name_prefix="receiving")

    async def receive(self, letter: Sent, heard: Callable[[], None]) -> bool:
        """Whether the parcel came whole and is in the store; `heard` is called now and then while it comes.

        Raises DecodeError for one that is not what was promised, of which nothing is kept.
        """
        loop, key = asyncio.get_running_loop(), from_base64(letter.key, KEY)

        def keep(cancel: Cancel) -> bool:
            told = time.monotonic()

            def pieces() -> Iterator[bytes]:
                nonlocal told
                for piece in self._pieces(letter, loop, cancel):
                    if time.monotonic() - told > OFTEN:
                        told = time.monotonic()
                        loop.call_soon_threadsafe(heard)
                    yield piece

            try:
                self._blobs.put(open_chunks(key, pieces()), Digest(letter.blob))
            except _EndedEarlyError:
                return False
            return True

        return await self._in_a_thread(keep)

    async def read(self, letter: LogSent) -> bytes:
        """What a small parcel holds, in memory alone.

        Raises DecodeError for one that is not what was promised, Unavailable when it does not come whole.
        """
        loop, key = asyncio.get_running_loop(), from_base64(letter.key, KEY)

        def read(cancel: Cancel) -> bytes:
            return b"".join(open_chunks(key, self._pieces(letter, loop, cancel)))

        try:
            return await self._in_a_thread(read)
        except _EndedEarlyError as error:
            raise Unavailable(str(error)) from error

    def close(self) -> None:
        """Take no more; what is under way must have been cancelled."""
        self._threads.shutdown(wait=False)
        self._link.close()

    async def _in_a_thread(self, work: Callable[[Cancel], T]) -> T:
        """What comes of the work; who is cancelled returns once it has ended."""
        cancel = Cancel()
        job = self._threads.submit(work, cancel)
        ended = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not job.cancel():
                ended.add_done_callback(lambda each: each.cancelled() or each.exception())
                cancel.ask()
                await asyncio.wait([ended])  # its thread needs this loop to end
            raise

    def _pieces(self, letter: Sent | LogSent, loop: asyncio.AbstractEventLoop, cancel: Cancel) -> Iterator[bytes]:
        """The parcel as it comes, in a thread; raises _EndedEarlyError when no more of it does."""
        have, failures, total = 0, 0, sealed_size(letter.size)
        while have < total and failures < ATTEMPTS and not cancel.asked:
            before = have
            try:
                for piece in self._link.download(f"/parcels/{letter.parcel}/bytes?offset={have}", cancel):
                    have += len(piece)
                    if have > total:
                        raise DecodeError(f"the parcel {letter.parcel} has more than the {total} bytes it was to have")
                    yield piece
                if have == 0:
                    break  # who was to send it has died; nothing is lost by letting go of it
            except Unavailable:
                self._wait(failures, loop, cancel)
            failures = failures + 1 if have == before else 0
        if have < total:
            raise _EndedEarlyError(f"the parcel {letter.parcel} ends after {have} of {total} bytes")

    def _wait(self, failures: int, loop: asyncio.AbstractEventLoop, cancel: Cancel) -> None:
        pause = asyncio.run_coroutine_threadsafe(self._pause(failures), loop)
        with cancel.ends_by(pause.cancel), suppress(CancelledError):
            pause.result()


@final
class _EndedEarlyError(Exception):
    """No more of a parcel comes, or it is wanted no more."""
