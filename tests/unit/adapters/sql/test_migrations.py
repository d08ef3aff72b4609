"""A database is brought to the tables of this version, from nothing and from any version before."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, inspect, text, update

from comity.adapters.sql.branch import Branch, versions
from comity.adapters.sql.database import Database
from comity.adapters.sql.migrate import downgrade, upgrade
from comity.hub import schema as hub
from comity.node import schema as node
from comity.values.errors import InvalidInput, NotSupported

PROGRAMS = {"hub": hub.BRANCHES, "node": node.BRANCHES}


@pytest.fixture(params=PROGRAMS)
def branches(request: pytest.FixtureRequest) -> Sequence[Branch]:
    return PROGRAMS[request.param]


@pytest.fixture
def database(url: str, branches: Sequence[Branch]) -> Generator[Database]:
    with closing(Database(url, branches)) as made:
        yield made


def described(connection: Connection) -> list[Any]:
    """All that the database itself says of its tables."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%'"))
        return sorted((name, "".join((sql or "").split())) for name, sql in rows)
    columns = connection.execute(
        text("""
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname,
            pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND c.relname NOT LIKE 'alembic%'""")
    )
    indexes = connection.execute(
        text("SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename NOT LIKE 'alembic%'")
    )
    keys = connection.execute(
        text("""
        SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND conrelid::regclass::text NOT LIKE 'alembic%'""")
    )
    return [sorted(map(str, rows)) for rows in (columns, indexes, keys)]


def differences(connection: Connection, branches: Sequence[Branch]) -> list[Any]:
    """What alembic would change to bring the database to the models."""
    return compare_metadata(MigrationContext.configure(connection), [each.metadata for each in branches])


def test_the_migrations_lead_to_the_models(database, branches):
    with database.read() as connection:
        made = described(connection)
        assert differences(connection, branches) == []
    database.write(lambda connection: downgrade(connection, branches, "base"))
    with database.read() as connection:
        assert inspect(connection).get_table_names() == [versions.name]
    database.write(lambda connection: upgrade(connection, branches))
    with database.read() as connection:
        assert described(connection) == made
        assert differences(connection, branches) == []
        assert set(connection.execute(versions.select()).scalars()) == {each.head for each in branches}


def test_text_is_ordered_alike_everywhere(database):
    with database.read() as connection:
        if connection.dialect.name == "sqlite":
            assert "COLLATE" not in str(described(connection)), "memcmp of UTF-8, when nothing else is said"
            return
        query = """
            SELECT table_name, column_name, collation_name FROM information_schema.columns
            WHERE table_schema = current_schema() AND data_type IN ('text', 'character varying')"""
        found = [each for each in connection.execute(text(query)).all() if each[0] != versions.name]
    assert len(found) > 30
    assert [each for each in found if each[2] != "C"] == []


def test_a_database_is_opened_again(url, branches):
    for _ in range(2):
        with closing(Database(url, branches)) as database, database.read() as connection:
            assert sorted(connection.execute(versions.select()).scalars()) == sorted(each.head for each in branches)


def test_a_newer_database_is_refused(url, branches):
    with closing(Database(url, branches)) as database:
        newer = update(versions).where(versions.c.version_num == "log_1").values(version_num="log_99")
        database.write(lambda connection: connection.execute(newer))
    with pytest.raises(NotSupported, match="at the revision log_99, which this comity does not know; upgrade comity"):
        Database(url, branches)


def test_a_hub_does_not_open_the_database_of_a_node(url):
    Database(url, node.BRANCHES).close()
    with pytest.raises(NotSupported, match="at the revision node_1"):
        Database(url, hub.BRANCHES)


def test_tables_of_another_program_are_left_alone(url, branches):
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE patients (name VARCHAR)"))
    engine.dispose()
    with pytest.raises(InvalidInput, match=r"tables that are not comity's \(patients, ...\); name an empty one"):
        Database(url, branches)


FIRST = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "one", None

def upgrade():
    op.create_table("things", sa.Column("id", sa.Integer, primary_key=True))
"""

SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "two", "one"

def upgrade():
    op.add_column("things", sa.Column("size", sa.Integer, nullable=False, server_default="7"))
    {}
"""


def test_an_older_database_is_brought_up_with_what_it_holds(url, tmp_path):
    database = Database(url, [old_branch(tmp_path)])
    database.write(lambda connection: connection.execute(text("INSERT INTO things VALUES (1)")))
    database.close()
    with closing(Database(url, [new_branch(tmp_path, "")])) as database, database.read() as connection:
        assert connection.execute(text("SELECT id, size FROM things")).all() == [(1, 7)]
        assert connection.execute(versions.select()).scalars().all() == ["two"]


def test_a_migration_that_fails_changes_nothing(url, tmp_path):
    Database(url, [old_branch(tmp_path)]).close()
    with pytest.raises(ZeroDivisionError):
        Database(url, [new_branch(tmp_path, "1 / 0")])
    with closing(Database(url, [old_branch(tmp_path)])) as database, database.read() as connection:
        assert [each["name"] for each in inspect(connection).get_columns("things")] == ["id"]


def old_branch(folder: Path) -> Branch:
    metadata = MetaData()
    Table("things", metadata, Column("id", Integer, primary_key=True))
    (folder / "one.py").write_text(FIRST)
    return Branch(metadata, "one", folder)


def new_branch(folder: Path, more: str) -> Branch:
    (folder / "two.py").write_text(SECOND.format(more))
    return Branch(MetaData(), "two", folder)
