"""The tables of a node's users."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table

from comity.adapters.sql.schema import metadata as metadata

users = Table(
    "users",
    metadata,
    Column("id", String, primary_key=True),
    Column("username", String, nullable=False, unique=True),
    Column("channel", BigInteger, nullable=False),
    Column("role", String, nullable=False),
    Column("password", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Index("users_by_channel", "channel", "username"),
)
"""`password` is an argon2id hash; `expires` is null for a user that does not."""

tokens = Table(
    "tokens",
    metadata,
    Column("hash", String, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("user", String, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String, nullable=False),
    Column("note", String, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("tokens_by_user", "user", "created_at"),
    Index("tokens_by_expiry", "expires"),
)
"""Everything that opens a door, by the SHA-256 of its secret: logins, API tokens, web sessions, resets."""

preferences = Table(
    "preferences",
    metadata,
    Column("user", String, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""What a user's pages look like, as JSON."""
