"""Texts that lie as blobs, such as descriptions and openers: read where they are here, or soon can be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import final

from comity.domain.letter import Holds
from comity.node.fetching import fetch
from comity.node.node import Part
from comity.values.digest import Digest
from comity.values.errors import ComityError

SOON = 3.0
"""Seconds that a page waits for what lies at another node."""

LARGEST = 1 << 20
"""Bytes of a text that are shown."""


@final
@dataclass(frozen=True)
class Text:
    """A text, or why there is none to be shown."""

    body: str = ""
    why: str = ""


async def text(part: Part, holds: Holds, key: str) -> Text:
    """What is held, as text."""
    try:
        async with asyncio.timeout(SOON):
            found = await fetch(part, holds, key)
    except TimeoutError:
        return Text(why="it is on its way from its owner's node; load the page again in a moment")
    except ComityError as error:
        return Text(why=str(error))
    if found is None:
        return Text(why="it was deleted")
    return Text(body=await asyncio.to_thread(_read, part, found[0]))


def _read(part: Part, blob: Digest) -> str:
    made = bytearray()
    for piece in part.exchange.blobs.open(blob):
        made += piece
        if len(made) > LARGEST:
            break
    return bytes(made[:LARGEST]).decode(errors="replace")
