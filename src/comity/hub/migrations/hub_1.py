"""The first tables of a hub beside its logs."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "hub_1", None

WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "mail",
        sa.Column("channel", sa.BigInteger, primary_key=True),
        sa.Column("recipient", WORD, primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("sender", WORD, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "parcels",
        sa.Column("channel", sa.BigInteger, primary_key=True),
        sa.Column("id", WORD, primary_key=True),
        sa.Column("sender", WORD, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("announced_at", sa.BigInteger, nullable=False),
    )
    op.create_index("parcels_by_sender", "parcels", ["channel", "sender"])
    op.create_table(
        "awaited",
        sa.Column("channel", sa.BigInteger, primary_key=True),
        sa.Column("parcel", WORD, primary_key=True),
        sa.Column("recipient", WORD, primary_key=True),
    )


def downgrade() -> None:
    for table in ("mail", "parcels", "awaited"):
        op.drop_table(table)
