"""What a node keeps beside its projection of the logs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from comity.adapters.sql.schema import metadata as metadata

joined = Table(
    "joined",
    metadata,
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", String, nullable=False, unique=True),
    Column("url", String, nullable=False),
    Column("certificate", String, nullable=False),
    Column("organization", String, nullable=False),
    Column("mail", BigInteger, nullable=False),
    Column("broken", String, nullable=False),
)
"""Channels this node is in; `mail` is the last letter it has dealt with, `broken` why it stopped following."""

outbox = Table(
    "outbox",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("channel", BigInteger, nullable=False),
    Column("id", String, nullable=False, unique=True),
    Column("events", LargeBinary, nullable=False),
    Column("texts", LargeBinary, nullable=False),
    Index("outbox_by_channel", "channel", "number"),
    sqlite_autoincrement=True,
)
"""What this organization has to say and the log does not hold yet, in order."""

sending = Table(
    "sending",
    metadata,
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("last", BigInteger, nullable=False),
)
"""The one signed entry of a channel that is under way, and the last row of the outbox that is in it."""

commits = Table(
    "commits",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("task", String, primary_key=True),
    Column("outcome", LargeBinary, nullable=False),
)
"""What an attempt left behind, written once for each task: first writer wins."""

parcels = Table(
    "sent_parcels",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("blob", String, primary_key=True),
    Column("parcel", String, nullable=False),
    Column("key", LargeBinary, nullable=False),
)
"""The content key of a blob that was sent: one for a blob and channel, so that an upload goes on where it ended."""

samples = Table(
    "samples",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("key", String, primary_key=True),
    Column("path", String, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
)
"""Where the data samples lie, and what they were when they were registered."""
