"""What the hub keeps beside the logs: channels it orders, mail and parcels on their way."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Table

from comity.adapters.sql import schema
from comity.adapters.sql.branch import Branch
from comity.adapters.sql.schema import Word

metadata = MetaData()

BRANCHES = (schema.BRANCH, Branch(metadata, head="hub_1", migrations=Path(__file__).parent / "migrations"))
"""All that a hub's database holds."""

mail = Table(
    "mail",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("recipient", Word, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("sender", Word, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""Letters that their recipients do not have yet; `id` is their number at the recipient, and about when they came."""

parcels = Table(
    "parcels",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("id", Word, primary_key=True),
    Column("sender", Word, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("announced_at", BigInteger, nullable=False),
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
