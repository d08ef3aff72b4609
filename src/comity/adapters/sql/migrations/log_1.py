"""The first tables of a log and its records."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "log_1", None

WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")

RECORDS: dict[str, tuple[list[str], list[str]]] = {
    "channel": ([], ["created_at"]),
    "organization": (["status"], ["created_at"]),
    "invitation": (["organization"], []),
    "vote": (["subject"], []),
    "dataset": (["owner", "opener", "description"], ["created_at"]),
    "datasample": (["owner"], ["created_at"]),
    "sampleof": (["dataset", "sample"], []),
    "function": (["owner", "archive", "description", "status"], ["created_at"]),
    "approval": (["archive", "organization"], []),
    "policyof": ([], []),
    "plan": (["owner", "grows_at"], ["created_at", "started_at", "ended_at"]),
    "task": (
        ["plan", "function", "worker", "status", "owner", "waits_on", "optional_in"],
        ["created_at", "started_at", "ended_at", "rank"],
    ),
    "maskedsum": (["status"], ["created_at", "ended_at"]),
    "child": (["parent"], []),
    "takers": ([], []),
    "model": (["task", "owner", "blob", "due"], ["created_at"]),
    "performance": (["task", "plan"], ["created_at"]),
}
"""Each kind's words and numbers."""


def upgrade() -> None:
    op.create_table("channels", number("id"), word("digest", unique=True))
    op.create_table(
        "leaves",
        number("channel"),
        number("place"),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        word("author"),
        word("id"),
    )
    op.create_index("leaves_by_id", "leaves", ["channel", "author", "id"], unique=True)
    op.create_table(
        "hashes",
        number("channel"),
        number("level"),
        number("index"),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "texts",
        number("channel"),
        word("commitment", primary_key=True),
        sa.Column("place", sa.BigInteger, nullable=False),
        word("salt"),
        sa.Column("text", sa.LargeBinary, nullable=False),
    )
    op.create_index("texts_by_place", "texts", ["channel", "place"])
    op.create_table(
        "absent",
        number("channel"),
        word("commitment", primary_key=True),
        sa.Column("place", sa.BigInteger, nullable=False),
    )
    op.create_table("checkpoints", number("channel"), number("size"), word("note"))
    for kind, (words, numbers) in RECORDS.items():
        create_records(f"{kind}_records", words, numbers)


def downgrade() -> None:
    tables = ("channels", "leaves", "hashes", "texts", "absent", "checkpoints")
    for table in (*tables, *(f"{kind}_records" for kind in RECORDS)):
        op.drop_table(table)


def create_records(name: str, words: list[str], numbers: list[str]) -> None:
    op.create_table(
        name,
        number("channel"),
        word("key", primary_key=True),
        *(word(each) for each in words),
        *(sa.Column(each, sa.BigInteger, nullable=False) for each in numbers),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    newest = ["created_at", "key"] if "created_at" in numbers else ["key"]
    for each in words:
        columns = [each, *newest]
        if (name, each) == ("task_records", "worker"):
            columns = ["worker", "status", "plan", "rank", "created_at", "key"]
        op.create_index(f"{name}_by_{each}", name, ["channel", *columns])
    if "created_at" in numbers:
        op.create_index(f"{name}_by_time", name, ["channel", *newest])


def number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def word(name: str, *, primary_key: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, WORD, primary_key=primary_key, unique=unique, nullable=False)
