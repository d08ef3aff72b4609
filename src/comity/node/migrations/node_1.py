"""The first tables of a node beside its logs: its work, its users."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "node_1", None

WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "joined",
        sa.Column("channel", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("digest", WORD, nullable=False, unique=True),
        word("url"),
        word("certificate"),
        word("organization"),
        sa.Column("mail", sa.BigInteger, nullable=False),
        word("broken"),
    )
    op.create_table(
        "outbox",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("channel", sa.BigInteger, nullable=False),
        sa.Column("id", WORD, nullable=False, unique=True),
        blob("events"),
        blob("texts"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_by_channel", "outbox", ["channel", "number"])
    op.create_table(
        "sending",
        sa.Column("channel", sa.BigInteger, primary_key=True, autoincrement=False),
        word("id"),
        blob("entry"),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table("commits", *key("task"), blob("outcome"))
    op.create_table("sent_parcels", *key("blob"), word("parcel"), blob("key"))
    op.create_table("samples", *key("key"), word("path"), blob("manifest"))
    op.create_table("site_sums", *key("task"), blob("state"), blob("said"), blob("told"), blob("pieces"))
    op.create_table("made_sums", *key("task"), blob("state"), blob("told"), word("total"))
    op.create_table(
        "spending",
        *key("dataset"),
        sa.Column("number", sa.BigInteger, primary_key=True),
        word("run"),
        blob("line"),
    )
    for name in ("held", "released"):
        op.create_table(name, *key("owner"), sa.Column("blob", WORD, primary_key=True))
    op.create_index("held_by_blob", "held", ["blob"])
    op.create_table(
        "evidence",
        sa.Column("channel", sa.BigInteger, primary_key=True, autoincrement=False),
        word("reason"),
        blob("answer"),
    )
    op.create_table(
        "users",
        sa.Column("id", WORD, primary_key=True),
        sa.Column("username", WORD, nullable=False, unique=True),
        sa.Column("channel", sa.BigInteger, nullable=False),
        word("role"),
        word("password"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
    )
    op.create_index("users_by_channel", "users", ["channel", "username"])
    op.create_table(
        "tokens",
        sa.Column("hash", WORD, primary_key=True),
        sa.Column("id", WORD, nullable=False, unique=True),
        sa.Column("user", WORD, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        word("kind"),
        word("note"),
        word("scopes"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("tokens_by_user", "tokens", ["user", "created_at"])
    op.create_index("tokens_by_expiry", "tokens", ["expires"])
    op.create_table(
        "preferences",
        sa.Column("user", WORD, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        blob("body"),
    )
    op.create_table(
        "answers",
        sa.Column("user", WORD, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("key", WORD, primary_key=True),
        word("request"),
        sa.Column("status", sa.Integer, nullable=False),
        blob("body"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("answers_by_user", "answers", ["user", "created_at"])
    op.create_index("answers_by_time", "answers", ["created_at"])


def downgrade() -> None:
    for table in (
        "answers",
        "preferences",
        "tokens",
        "users",
        "evidence",
        "released",
        "held",
        "spending",
        "made_sums",
        "site_sums",
        "samples",
        "sent_parcels",
        "commits",
        "sending",
        "outbox",
        "joined",
    ):
        op.drop_table(table)


def word(name: str) -> sa.Column[str]:
    return sa.Column(name, WORD, nullable=False)


def blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def key(name: str) -> tuple[sa.Column[int], sa.Column[str]]:
    return sa.Column("channel", sa.BigInteger, primary_key=True), sa.Column(name, WORD, primary_key=True)
