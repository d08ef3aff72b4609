"""The tables of a node's users."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, MetaData, Table

from comity.adapters.sql.schema import Word

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", Word, primary_key=True),
    Column("username", Word, nullable=False, unique=True),
    Column("channel", BigInteger, nullable=False),
    Column("role", Word, nullable=False),
    Column("password", Word, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Index("users_by_channel", "channel", "username"),
)
"""`password` is an argon2id hash; `expires` is null for a user that does not."""

tokens = Table(
    "tokens",
    metadata,
    Column("hash", Word, primary_key=True),
    Column("id", Word, nullable=False, unique=True),
    Column("user", Word, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Word, nullable=False),
    Column("note", Word, nullable=False),
    Column("scopes", Word, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("tokens_by_user", "user", "created_at"),
    Index("tokens_by_expiry", "expires"),
)
"""Everything that opens a door, by the SHA-256 of its secret: logins, API tokens, web sessions, resets."""

preferences = Table(
    "preferences",
    metadata,
    Column("user", Word, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""What a user's pages look like, as JSON."""
