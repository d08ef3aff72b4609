"""What a channel's log says, for those who read it: entries in words, and the leaves themselves for those who check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from sqlalchemy import select

from comity.adapters.sql.log import Delivery, Log
from comity.adapters.sql.schema import checkpoints
from comity.domain.entry import Leaf, Statement, read_leaf, read_statement
from comity.domain.events import AnyEvent

LOOKED = 10_000
"""Leaves that one search looks at."""

STEP = 50
"""Leaves that are held at a time, since one may have 1 MiB and its texts more."""

MOST_BYTES = 8 << 20
"""Bytes of the leaves in one answer; the last of them may go beyond."""


@final
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries are looked for; what is empty is not asked for."""

    author: str = ""
    kind: str = ""
    """Of one of its events, such as `task_done`."""
    about: str = ""
    """Anything that stands in the leaf, such as a key."""


@final
@dataclass(frozen=True)
class Placed:
    """An entry where it stands."""

    place: int
    leaf: Leaf
    statement: Statement


@final
@dataclass(frozen=True)
class Found:
    """The latest entries first, and the place before which the search goes on."""

    entries: list[Placed]
    before: int


def entries(log: Log, wanted: Wanted, *, before: int, limit: int) -> Found:
    """So many entries before a place, the latest first; a search ends after 10,000 leaves, to be taken up again.

    So it does when what it found has 8 MiB.
    """
    before = min(before, log.size)
    end = max(0, before - LOOKED)
    found: list[Placed] = []
    size = 0
    step = STEP if wanted != Wanted() else min(STEP, limit)
    while before > end and limit:
        start = max(end, before - step)
        here = [(start + at, each) for at, each in enumerate(log.deliveries(start, before - start))]
        for place, delivery in reversed(here):
            before = place
            if placed := _wanted(place, delivery, wanted):
                found.append(placed)
                size += len(bytes(delivery.leaf))
            if len(found) == limit or size > MOST_BYTES:
                return Found(found, before)
    return Found(found, before)


def checkpoint(log: Log) -> str:
    """The last note of the hub that this node held against the whole of its log; empty when there is none."""
    query = select(checkpoints.c.note).where(checkpoints.c.channel == log.channel)
    return log.connection.execute(query).scalar() or ""


def kind(event: AnyEvent) -> str:
    """What an event is called in the log."""
    return str(type(event).__struct_config__.tag)


def _wanted(place: int, delivery: Delivery, wanted: Wanted) -> Placed | None:
    data = bytes(delivery.leaf)
    if wanted.about.encode() not in data:
        return None
    leaf = read_leaf(data)
    statement = read_statement(leaf.statement)
    if wanted.author and statement.author != wanted.author:
        return None
    if wanted.kind and wanted.kind not in map(kind, statement.events):
        return None
    return Placed(place, leaf, statement)
