"""Bodies as they arrive: who sends one and falls silent is not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from comity.values.errors import InvalidInput

SILENCE = 60.0
"""Seconds between two pieces of a body."""

WHOLE = 300.0
"""Seconds for all of a body that is held in memory."""


async def pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces; raises InvalidInput when none comes for `SILENCE` seconds."""
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                piece = await anext(stream, None)
        except TimeoutError:
            raise InvalidInput(f"nothing of the body has come for {SILENCE:g} seconds; send it again") from None
        if piece is None:
            return
        yield piece


async def body(stream: AsyncIterator[bytes], most: int) -> bytes:
    """All pieces as one; raises InvalidInput for more than so many bytes, or when they take longer than `WHOLE`."""
    made = bytearray()
    try:
        async with asyncio.timeout(WHOLE):
            async for piece in pieces(stream):
                made += piece
                if len(made) > most:
                    raise InvalidInput(f"the request has more than {most} bytes; send less at a time")
    except TimeoutError:
        raise InvalidInput(f"the body has not come within {WHOLE:g} seconds; send less at a time") from None
    return bytes(made)
