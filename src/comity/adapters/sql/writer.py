"""The one thread that writes: what is submitted while it commits goes into its next transaction together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar, final

from sqlalchemy import Connection, Engine

from comity.values.errors import InvalidInput

T = TypeVar("T")

Job = tuple[Callable[[Connection], Any], Future[Any]]

TOGETHER = 64
"""Pieces of work in one transaction."""


@final
class Writer:
    """Runs pieces of work one after the other, each whole or not at all, and answers once they are on the disk.

    A commit waits for the disk, so that many pieces which share one are done in the time of one. What a piece
    raises takes back that piece alone; when the commit fails, all of it fails.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """What `work` returns, once it is on the disk."""
        future: Future[T] = Future()
        self._jobs.put((work, future))
        return future

    def write(self, work: Callable[[Connection], T]) -> T:
        """As `submit`, and wait for it."""
        if threading.current_thread() is self._thread:
            raise InvalidInput("a transaction is open on this thread; pass its connection instead")
        return self.submit(work).result()

    def close(self) -> None:
        """Finish what was submitted."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            jobs = [self._jobs.get()]
            while len(jobs) < TOGETHER and not self._jobs.empty():
                jobs.append(self._jobs.get())
            last = None in jobs
            self._commit([job for job in jobs if job is not None and job[1].set_running_or_notify_cancel()])
        if self._connection is not None:
            self._connection.close()

    def _commit(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        done: list[tuple[Future[Any], Any]] = []
        try:
            connection = self._connected()
            with connection.begin():
                for work, future in jobs:
                    try:
                        with connection.begin_nested():
                            done.append((future, work(connection)))
                    except Exception as error:
                        future.set_exception(error)
        except Exception as error:
            self._disconnect()
            for _, future in jobs:
                if not future.done():
                    future.set_exception(error)
            return
        for future, made in done:
            future.set_result(made)

    def _disconnect(self) -> None:
        """Begin anew: the transaction of a commit that failed may still be open, and hold the lock."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            connection.invalidate()
            connection.close()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.invalidated or self._connection.closed:
            self._connection = self._engine.connect().execution_options(writes=True)
        return self._connection
