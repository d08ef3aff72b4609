"""The tables of a database, and the revision that they are at.

A database is made of branches: the log's, and beside it those of the hub or of the node. Each has migrations of its
own, which alembic runs; a database without tables is made as the models have it and never meets alembic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from comity.values.errors import InvalidInput

versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


@final
@dataclass(frozen=True)
class Branch:
    """Tables that are migrated together."""

    metadata: MetaData
    head: str
    """The revision at which they are as the metadata has them."""
    migrations: Path
    """The folder of the revisions."""


def prepare(connection: Connection, branches: Sequence[Branch]) -> None:
    """Make the tables, or bring them to where this version has them.

    Raises InvalidInput for tables that are not comity's, NotSupported for those of a newer version.
    """
    heads = {each.head for each in branches}
    names = inspect(connection).get_table_names()
    if not names:
        for each in branches:
            each.metadata.create_all(connection, checkfirst=False)
        versions.create(connection)
        connection.execute(insert(versions), [{"version_num": head} for head in sorted(heads)])
        return
    if versions.name not in names:
        raise InvalidInput(f"the database holds tables that are not comity's ({names[0]}, ...); name an empty one")
    found = set(connection.execute(select(versions.c.version_num)).scalars())
    if found != heads:
        # only now, since alembic takes time and memory at every start
        from comity.adapters.sql.migrate import upgrade

        upgrade(connection, branches)
