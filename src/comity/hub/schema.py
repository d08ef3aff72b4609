"""What the hub keeps beside the logs: channels it orders, mail and parcels on their way."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from comity.adapters.sql.schema import metadata as metadata

mail = Table(
    "mail",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("channel", BigInteger, nullable=False),
    Column("sender", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("mail_by_recipient", "channel", "recipient", "id"),
    sqlite_autoincrement=True,  # a number is never used again, since readers remember the last one they saw
)

parcels = Table(
    "parcels",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("id", String, primary_key=True),
    Column("sender", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("parcels_by_sender", "channel", "sender"),
)

awaited = Table(
    "awaited",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("parcel", String, primary_key=True),
    Column("recipient", String, primary_key=True),
)
"""Recipients that have not acknowledged a parcel."""
