"""What a hub has lost, since it was restored from a backup, and gets back from a node that has it."""

from __future__ import annotations

from typing import final

import msgspec
from sqlalchemy import select

from comity.adapters.sql.log import Delivery, Log
from comity.adapters.sql.schema import checkpoints
from comity.domain.entry import canonical
from comity.node.link import Link
from comity.values.errors import ComityError, Unavailable
from comity.values.keys import to_base64

MOST = 500
"""Entries that are given back at a time."""

LARGEST = 4 << 20
"""Bytes of them; one more may be given."""


@final
class Lost(msgspec.Struct, frozen=True):
    """What a hub has lost that this node still has, and once was signed by it."""

    deliveries: list[Delivery]
    checkpoint: str
    proof: list[str]
    """That the hub's log with these entries is a prefix of the one it signed, base64."""


async def give_back(link: Link, missing: Lost, *, start: int, size: int) -> None:
    """Give the hub what it has lost; raises Unavailable when it does not take it."""
    try:
        await link.call("POST", "/lost", canonical(missing))
    except ComityError as error:
        raise Unavailable(
            f"the hub shows {start} entries of the {size} that it signed, and does not take them back: {error}"
        ) from error


def lost(log: Log, start: int, *, most: int = MOST, most_bytes: int = LARGEST) -> Lost | None:
    """What a hub that has only `start` entries has to be given back; None when it never signed more."""
    table = checkpoints
    row = log.connection.execute(select(table).where(table.c.channel == log.channel)).first()
    if row is None or row.size <= start:
        return None
    given = log.deliveries(start, min(most, row.size - start), most_bytes=most_bytes)
    proof = log.tree.consistency(start + len(given), row.size)
    return Lost(given, row.note, [to_base64(each) for each in proof])
