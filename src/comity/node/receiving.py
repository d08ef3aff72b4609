"""A parcel on its way into the store: taken up again where it was cut off, each piece verified as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

from comity.domain.letter import LogSent, Sent
from comity.node.link import Link
from comity.ports.blobs import Blobs
from comity.values.digest import Digest
from comity.values.errors import DecodeError, Unavailable
from comity.values.keys import from_base64
from comity.values.stream import KEY, open_chunks, sealed_size

ATTEMPTS = 8
"""How often in a row a parcel is taken up again without a byte more."""

RECEIVING = 16
"""Parcels that are received at once. Each holds a thread while it comes, which must not be one that reading needs."""


@final
class Receiving:
    """Parcels of one channel; `pause` waits after so many failures in a row."""

    def __init__(self, link: Link, blobs: Blobs, pause: Callable[[int], Awaitable[None]]) -> None:
        self._link = link
        self._blobs = blobs
        self._pause = pause
        self._threads = ThreadPoolExecutor(RECEIVING, thread_name_prefix="receiving")

    async def receive(self, letter: Sent, heard: Callable[[], None]) -> bool:
        """Whether the parcel came whole and is in the store; `heard` is called for each piece.

        Raises DecodeError for one that is not what was promised, of which nothing is kept.
        """
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=2)
        put: asyncio.Future[Any] | None = None
        have, total = 0, sealed_size(letter.size)
        try:
            async for piece in self._pieces(letter, total):
                heard()
                put = put or self._put(letter, queue)
                have += len(piece)
                if have > total:
                    raise DecodeError(f"the parcel {letter.parcel} has more than the {total} bytes that it was to have")
                await _either(queue.put(piece), put)
                if put.done():
                    break
            if put is not None and (have == total or put.done()):
                await _either(queue.put(None), put)
                await put
                return True
        finally:
            if put is not None and not put.done():
                put.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                await _either(queue.put(None), put)
                await asyncio.wait([put])  # its thread needs this loop to end
        return False

    async def read(self, letter: LogSent) -> bytes:
        """What a small parcel holds, in memory alone.

        Raises DecodeError for one that is not what was promised, Unavailable when it does not come whole.
        """
        have, total, sealed = 0, sealed_size(letter.size), list[bytes]()
        async for piece in self._pieces(letter, total):
            have += len(piece)
            if have > total:
                raise DecodeError(f"the parcel {letter.parcel} has more than the {total} bytes that it was to have")
            sealed.append(piece)
        if have < total:
            raise Unavailable(f"the parcel {letter.parcel} ends after {have} of {total} bytes")
        key = from_base64(letter.key, KEY)
        return await asyncio.to_thread(lambda: b"".join(bytes(each) for each in open_chunks(key, sealed)))

    def close(self) -> None:
        """Take no more; what is under way must have been cancelled."""
        self._threads.shutdown(wait=False)

    def _put(self, letter: Sent, queue: asyncio.Queue[bytes | None]) -> asyncio.Future[Any]:
        """The store receiving, in a thread of its own, what comes through the queue."""
        loop, key = asyncio.get_running_loop(), from_base64(letter.key, KEY)

        def pieces() -> Iterator[bytes]:
            while (piece := asyncio.run_coroutine_threadsafe(queue.get(), loop).result()) is not None:
                yield piece

        return loop.run_in_executor(self._threads, self._blobs.put, open_chunks(key, pieces()), Digest(letter.blob))

    async def _pieces(self, letter: Sent | LogSent, total: int) -> AsyncIterator[bytes]:
        """The parcel as it comes; ends early when no more of it does."""
        have, failures = 0, 0
        while have < total and failures < ATTEMPTS:
            before = have
            try:
                async for piece in self._link.download(f"/parcels/{letter.parcel}/bytes?offset={have}"):
                    have += len(piece)
                    yield piece
                if have == 0:
                    return  # who was to send it has died; nothing is lost by letting go of it
            except Unavailable:
                await self._pause(failures)
            failures = failures + 1 if have == before else 0


async def _either(work: Coroutine[Any, Any, None], end: asyncio.Future[Any]) -> None:
    """Return once `work` is done, or `end` is, after which nobody waits for it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task, end], return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
