"""The tables of a channel's log and of the records that follow from it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table

from comity.adapters.sql.branch import Branch
from comity.domain.records import KINDS, Record, Task

metadata = MetaData()

BRANCH = Branch(metadata, head="log_1", migrations=Path(__file__).parent / "migrations")

Word = String().with_variant(String(collation="C"), "postgresql")
"""Text that is compared and ordered by its code points, on every machine alike; without NUL, which PostgreSQL has no
place for."""

channels = Table(
    "channels",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Word, unique=True, nullable=False),
)

leaves = Table(
    "leaves",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("author", Word, nullable=False),
    Column("id", Word, nullable=False),
    Index("leaves_by_id", "channel", "author", "id", unique=True),
)

hashes = Table(
    "hashes",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("level", BigInteger, primary_key=True),
    Column("index", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

texts = Table(
    "texts",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("commitment", Word, primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("salt", Word, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Index("texts_by_place", "channel", "place"),
)

absent = Table(
    "absent",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("commitment", Word, primary_key=True),
    Column("place", BigInteger, nullable=False),
)
"""Texts that were not beside their leaf: deleted by a later entry, or withheld."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("note", Word, nullable=False),
)

ORDERED = ("created_at", "started_at", "ended_at", "rank")
"""Numbers that records are listed by."""

SCHEDULED = ("channel", "worker", "status", "plan", "rank", "created_at", "key")
"""How a scheduler looks for tasks."""


def _table(kind: type[Record]) -> Table:
    name = kind.__name__.lower() + "_records"
    fields = kind.__struct_fields__
    newest = ("created_at", "key") if "created_at" in fields else ("key",)
    indexes: dict[str, tuple[str, ...]] = {f"{name}_by_{field}": ("channel", field, *newest) for field in kind.index}
    if "created_at" in fields:
        indexes[f"{name}_by_time"] = ("channel", *newest)
    if kind is Task:
        indexes[f"{name}_by_worker"] = SCHEDULED
    return Table(
        name,
        metadata,
        Column("channel", BigInteger, primary_key=True),
        Column("key", Word, primary_key=True),
        *(Column(field, Word, nullable=False) for field in kind.index),
        *(Column(field, BigInteger, nullable=False) for field in ORDERED if field in fields),
        Column("body", LargeBinary, nullable=False),
        *(Index(index, *columns) for index, columns in indexes.items()),
    )


records = {kind: _table(kind) for kind in KINDS}
