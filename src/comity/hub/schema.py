"""What the hub keeps beside the logs: channels it orders, mail and parcels on their way."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table

from comity.adapters.sql import schema
from comity.adapters.sql.branch import Branch
from comity.adapters.sql.schema import Word

metadata = MetaData()

BRANCHES = (schema.BRANCH, Branch(metadata, head="hub_1", migrations=Path(__file__).parent / "migrations"))
"""All that a hub's database holds."""

mail = Table(
    "mail",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("channel", BigInteger, nullable=False),
    Column("sender", Word, nullable=False),
    Column("recipient", Word, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("mail_by_recipient", "channel", "recipient", "id"),
    sqlite_autoincrement=True,  # a number is never used again, since readers remember the last one they saw
)

parcels = Table(
    "parcels",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("id", Word, primary_key=True),
    Column("sender", Word, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("parcels_by_sender", "channel", "sender"),
)

awaited = Table(
    "awaited",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("parcel", Word, primary_key=True),
    Column("recipient", Word, primary_key=True),
)
"""Recipients that have not acknowledged a parcel."""
