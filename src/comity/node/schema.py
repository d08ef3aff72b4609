"""What a node keeps beside its projection of the logs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table

from comity.adapters.sql import schema
from comity.adapters.sql.branch import Branch
from comity.adapters.sql.schema import Word
from comity.node.accounts.schema import metadata

BRANCHES = (schema.BRANCH, Branch(metadata, head="node_1", migrations=Path(__file__).parent / "migrations"))
"""All that a node's database holds."""

joined = Table(
    "joined",
    metadata,
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Word, nullable=False, unique=True),
    Column("url", Word, nullable=False),
    Column("certificate", Word, nullable=False),
    Column("organization", Word, nullable=False),
    Column("mail", BigInteger, nullable=False),
    Column("broken", Word, nullable=False),
)
"""Channels this node is in; `mail` is the last letter it has dealt with, `broken` why it stopped following."""

outbox = Table(
    "outbox",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("channel", BigInteger, nullable=False),
    Column("id", Word, nullable=False, unique=True),
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
    Column("id", Word, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("last", BigInteger, nullable=False),
)
"""The one signed entry of a channel that is under way, and the last row of the outbox that is in it."""

commits = Table(
    "commits",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("task", Word, primary_key=True),
    Column("outcome", LargeBinary, nullable=False),
)
"""What an attempt left behind, written once for each task: first writer wins."""

parcels = Table(
    "sent_parcels",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("blob", Word, primary_key=True),
    Column("parcel", Word, nullable=False),
    Column("key", LargeBinary, nullable=False),
)
"""The content key of a blob that was sent: one for a blob and channel, so that an upload goes on where it ended."""

samples = Table(
    "samples",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("key", Word, primary_key=True),
    Column("path", Word, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
)
"""Where the data samples lie, and what they were when they were registered."""

held = Table(
    "held",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("owner", Word, primary_key=True),
    Column("blob", Word, primary_key=True),
    Index("held_by_blob", "blob"),
)
"""Blobs that other organizations have sent: that somebody names a blob does not show that they have it."""

released = Table(
    "released",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("owner", Word, primary_key=True),
    Column("blob", Word, primary_key=True),
)
"""Blobs that are to be deleted, unless something names them still."""

site_sums = Table(
    "site_sums",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("task", Word, primary_key=True),
    Column("state", LargeBinary, nullable=False),
    Column("said", LargeBinary, nullable=False),
    Column("told", LargeBinary, nullable=False),
    Column("pieces", LargeBinary, nullable=False),
)
"""Where this organization stands in masked sums: secret, and empty once the sum is over, so that none begins twice.

`said` is what it said last; `told` what it was told and cannot answer yet; `pieces` are the blobs of its masked input.
"""

made_sums = Table(
    "made_sums",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("task", Word, primary_key=True),
    Column("state", LargeBinary, nullable=False),
    Column("told", LargeBinary, nullable=False),
    Column("total", Word, nullable=False),
)
"""Masked sums that this organization makes: where they stand, what each site was told last, and what came out."""

spending = Table(
    "spending",
    metadata,
    Column("channel", BigInteger, primary_key=True),
    Column("dataset", Word, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("run", Word, nullable=False),
    Column("line", LargeBinary, nullable=False),
)
"""The ledgers of this organization's datasets, line by line; no line is ever changed."""

answers = Table(
    "answers",
    metadata,
    Column("user", Word, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Word, primary_key=True),
    Column("request", Word, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("answers_by_user", "user", "created_at"),
    Index("answers_by_time", "created_at"),
)
"""Answers to requests that may be made again; `request` is the digest of one, empty until it is answered."""

evidence = Table(
    "evidence",
    metadata,
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Word, nullable=False),
    Column("answer", LargeBinary, nullable=False),
)
"""What the hub said that it must not say, byte for byte; its last good checkpoint lies beside the log."""
