"""A database without room refuses, changes nothing, and goes on once there is room."""

import errno
import threading

import pytest
from sqlalchemy import insert, select

from comity.adapters.disk import is_full
from comity.adapters.sql.database import Database
from comity.adapters.sql.schema import BRANCH, channels
from comity.values.errors import Unavailable


def test_sqlite_without_room(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'test.db'}", [BRANCH])
    # SQLite allows no fewer pages than there are. A connection is told, and another begun after a failure.
    database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1"))

    def write(connection):
        for number in range(1000):
            connection.execute(insert(channels).values(id=number, digest=f"{number:01000}"))

    with pytest.raises(Unavailable, match="no room left, nothing was changed"):
        database.write(write)
    with database.read() as connection:
        assert connection.execute(select(channels.c.id)).first() is None
    database.write(write)
    database.close()


def test_what_is_written_together_is_refused_together(tmp_path):
    """SQLite takes back the whole transaction: what was done in it before, and would have been after."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}", [BRANCH])
    began, held = threading.Event(), threading.Event()
    first = database._writer.submit(lambda _: (began.set(), held.wait(30)))
    assert began.wait(30)
    limited = database._writer.submit(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1"))
    sizes = (10, 1 << 20, 10)
    rows = [insert(channels).values(id=number, digest="d" * size) for number, size in enumerate(sizes)]
    futures = [database._writer.submit(lambda connection, row=row: connection.execute(row)) for row in rows]
    held.set()
    assert first.result()
    assert isinstance(limited.exception(), Unavailable)
    assert all(isinstance(each.exception(), Unavailable) for each in futures)
    with database.read() as connection:
        assert connection.execute(select(channels.c.id)).first() is None
    database.close()


def test_postgresql_without_room(postgresql):
    """Which is told to say so: `disk_full` of PostgreSQL's manual, appendix A."""
    database = Database(postgresql(), [BRANCH])

    def write(connection):
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$")

    with pytest.raises(Unavailable, match="no room left"):
        database.write(write)
    database.close()


def test_other_errors_are_something_else():
    assert is_full(OSError(errno.ENOSPC, "no space"))
    assert is_full(OSError(errno.EDQUOT, "no quota"))
    assert not is_full(OSError(errno.EIO, "broken"))
    assert not is_full(ValueError("no space"))
