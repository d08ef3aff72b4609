"""Records are found by their indexes, however many there are in the channel."""

from __future__ import annotations

import pytest

from comity.adapters.sql import schema
from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.records import _FIND  # what is asked, in the words that the database gets


@pytest.mark.parametrize(("kind", "field"), _FIND, ids=lambda each: getattr(each, "__name__", each))
def test_sqlite_finds_by_a_field_through_its_index(tmp_path, kind, field):
    database = Database(sqlite_url(tmp_path / "records.db"), [schema.BRANCH])
    with database.read() as connection:
        asked = str(_FIND[kind, field].compile(connection.engine)).replace("?", "'1'")
        (plan,) = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}").all()
    database.close()
    assert f"{kind.__name__.lower()}_records_by_{field}" in plan.detail
