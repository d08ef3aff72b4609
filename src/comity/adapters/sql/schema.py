"""The tables of a channel's log and of the records that follow from it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table

from comity.domain.records import KINDS, Record

metadata = MetaData()

channels = Table(
    "channels",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", String, unique=True, nullable=False),
)

leaves = Table(
    "leaves",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("author", String, nullable=False),
    Column("id", String, nullable=False),
    Index("leaves_by_id", "channel", "author", "id", unique=True),
)

hashes = Table(
    "hashes",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("level", BigInteger, primary_key=True),
    Column("index", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
)

texts = Table(
    "texts",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("commitment", String, primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("salt", String, nullable=False),
    Column("text", String, nullable=False),
    Index("texts_by_place", "channel", "place"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("note", String, nullable=False),
)

ORDERED = ("created_at", "started_at", "ended_at", "rank")
"""Numbers that records are listed by."""


def _table(kind: type[Record]) -> Table:
    name = kind.__name__.lower() + "_records"
    fields = kind.__struct_fields__
    return Table(
        name,
        metadata,
        Column("channel", BigInteger, primary_key=True),
        Column("key", String, primary_key=True),
        *(Column(field, String, nullable=False) for field in kind.index),
        *(Column(field, BigInteger, nullable=False) for field in ORDERED if field in fields),
        Column("body", LargeBinary, nullable=False),
        *(Index(f"{name}_by_{field}", "channel", field) for field in kind.index),
    )


records = {kind: _table(kind) for kind in KINDS}
