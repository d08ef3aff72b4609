"""A database with one writer thread and any number of readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from comity.adapters.sql.branch import Branch, prepare
from comity.adapters.sql.writer import Writer
from comity.values.errors import InvalidInput

T = TypeVar("T")

WRITER = 0x636F6D697479
"""The advisory lock of whoever writes to a PostgreSQL database."""

READERS = 8
"""Connections that read at once; more wait."""

BUSY_SECONDS = 30
"""How long SQLite waits for another process before it gives up."""


@final
class Database:
    """One database; close it when done.

    What is written in one call is written whole or not at all, and survives a crash of the machine once the call
    returns. Raises what `prepare` raises.
    """

    def __init__(self, url: str, branches: Sequence[Branch]) -> None:
        self.engine = _engine(url)
        self._writer = Writer(self.engine)
        try:
            self.write(lambda connection: prepare(connection, branches))
        except BaseException:
            self.close()
            raise

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction on the writer thread; what it raises takes everything of it back."""
        return self._writer.write(work)

    async def awrite(self, work: Callable[[Connection], T], *, patient: bool = False) -> T:
        """As `write`, without blocking the event loop; patient work waits a moment for other work to go with."""
        return await asyncio.wrap_future(self._writer.submit(work, patient=patient))

    def put_off(self, work: Callable[[Connection], object]) -> Future[object]:
        """As patient work that is not waited for: clearing up, which is tried again in any case if it fails."""
        return self._writer.submit(work, patient=True)

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A connection that sees one state of the database."""
        with self.engine.connect() as connection:
            yield connection

    async def aread(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, read in another thread."""

        def run() -> T:
            with self.read() as connection:
                return work(connection)

        return await asyncio.to_thread(run)

    def close(self) -> None:
        """Finish what was submitted and let go of the database."""
        self._writer.close()
        self.engine.dispose()


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file."""
    return f"sqlite:///{path}"


def _engine(url: str) -> Engine:
    kind = make_url(url).get_backend_name()
    if kind == "sqlite":
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=2,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS, "isolation_level": None},
        )
        event.listen(engine, "connect", _pragmas)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if kind == "postgresql":
        engine = create_engine(
            url, pool_size=READERS, max_overflow=2, hide_parameters=True, isolation_level="REPEATABLE READ"
        )
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    raise InvalidInput(f"a database is sqlite:///PATH or postgresql+psycopg://..., not {kind}")


def _pragmas(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when another process wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # As on SQLite, one process writes at a time. It must see what was committed while it waited for the lock, which
    # a repeatable read would not, and nothing changes under it afterwards.
    if _writes(connection):
        connection.exec_driver_sql(
            f"SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITER})"
        )


def _writes(connection: Connection) -> bool:
    return connection.get_execution_options().get("writes", False)
