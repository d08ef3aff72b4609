"""A database with one writer thread and any number of readers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from comity.values.errors import InvalidInput

T = TypeVar("T")

READERS = 8
"""Connections that read at once; more wait."""

BUSY_SECONDS = 30
"""How long SQLite waits for another process before it gives up."""


@final
class Database:
    """One database; close it when done.

    What is written in one call is written whole or not at all, and survives a crash of the machine once the call
    returns.
    """

    def __init__(self, url: str, metadata: MetaData) -> None:
        self.engine = _engine(url)
        metadata.create_all(self.engine)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._connection: Connection | None = None
        self._thread: int | None = None

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a transaction on the writer thread; what it raises takes everything back."""
        return self._writer.submit(self._transaction, work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """As `submit`, and wait for what `work` returns."""
        if threading.get_ident() == self._thread:
            raise InvalidInput("a transaction is open on this thread; pass its connection instead")
        return self.submit(work).result()

    async def awrite(self, work: Callable[[Connection], T]) -> T:
        """As `submit`, without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(work))

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
        self._writer.submit(self._disconnect).result()
        self._writer.shutdown()
        self.engine.dispose()

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        self._thread = threading.get_ident()
        if self._connection is None or self._connection.invalidated or self._connection.closed:
            self._connection = self.engine.connect().execution_options(writes=True)
        with self._connection.begin():
            return work(self._connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()


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
        event.listen(engine, "begin", _begin)
        return engine
    if kind == "postgresql":
        return create_engine(
            url, pool_size=READERS, max_overflow=2, hide_parameters=True, isolation_level="REPEATABLE READ"
        )
    raise InvalidInput(f"a database is sqlite:///PATH or postgresql+psycopg://..., not {kind}")


def _pragmas(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when another process wrote in between.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
