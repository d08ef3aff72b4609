"""What a node keeps of masked sums, each in a row that is written before a word of it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import msgspec
from sqlalchemy import Connection, Table, select

from comity.adapters.sql.records import upsert
from comity.node import schema
from comity.privacy import aggregator, site
from comity.privacy.aggregator import Aggregation
from comity.privacy.site import SiteState

_LISTS = msgspec.json.Decoder(list[str])
_MAPS = msgspec.json.Decoder(dict[str, str])


@final
@dataclass(frozen=True, kw_only=True)
class SitePart:
    """Where this organization stands in a sum."""

    state: SiteState
    said: bytes
    """Its last message."""
    told: bytes = b""
    """What it was told and cannot answer yet."""
    pieces: tuple[str, ...] = ()
    """The blobs of its masked input, and of its form."""


@final
@dataclass(frozen=True, kw_only=True)
class Making:
    """Where a sum stands that this organization makes."""

    state: Aggregation
    told: dict[str, str]
    """What each site was told last."""
    total: str = ""
    """The blob of what came out."""


def put_site(connection: Connection, channel: int, task: str, part: SitePart | None) -> None:
    """Keep where this organization stands; None once the sum is over: then all but that it began is gone."""
    row = {
        "channel": channel,
        "task": task,
        "state": b"" if part is None else site.to_bytes(part.state),
        "said": b"" if part is None else part.said,
        "told": b"" if part is None else part.told,
        "pieces": msgspec.json.encode([] if part is None else part.pieces),
    }
    upsert(connection, schema.site_sums, [row])


def begun(connection: Connection, channel: int, task: str) -> bool:
    """Whether this organization has ever begun its part."""
    return _row(connection, schema.site_sums, channel, task) is not None


def get_site(connection: Connection, channel: int, task: str) -> SitePart | None:
    """Where this organization stands; None before it began, and once the sum is over."""
    row = _row(connection, schema.site_sums, channel, task)
    if row is None or not row.state:
        return None
    pieces = tuple(_LISTS.decode(row.pieces))
    return SitePart(state=site.from_bytes(row.state), said=row.said, told=row.told, pieces=pieces)


def put_making(connection: Connection, channel: int, task: str, making: Making | None, total: str = "") -> None:
    """Keep where a sum stands; None once it is over: then only what came out is left."""
    row = {
        "channel": channel,
        "task": task,
        "state": b"" if making is None else aggregator.to_bytes(making.state),
        "told": msgspec.json.encode({} if making is None else making.told),
        "total": total if making is None else making.total,
    }
    upsert(connection, schema.made_sums, [row])


def get_making(connection: Connection, channel: int, task: str) -> Making | None:
    """Where a sum stands; None before it began, and once it is over."""
    row = _row(connection, schema.made_sums, channel, task)
    if row is None or not row.state:
        return None
    return Making(state=aggregator.from_bytes(row.state), told=_MAPS.decode(row.told), total=row.total)


def total_of(connection: Connection, channel: int, task: str) -> str:
    """The blob of what came out; empty when nothing has."""
    row = _row(connection, schema.made_sums, channel, task)
    return "" if row is None else row.total


def under_way(connection: Connection, table: Table, channel: int) -> list[str]:
    """The sums of a table that are not known to be over."""
    query = select(table.c.task).where(table.c.channel == channel, table.c.state != b"")
    return list(connection.execute(query).scalars())


def _row(connection: Connection, table: Table, channel: int, task: str):
    return connection.execute(select(table).where(table.c.channel == channel, table.c.task == task)).first()
