"""The one thread that writes: what is submitted while it commits goes into its next transaction together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, final

import structlog
from sqlalchemy import Connection, Engine

from comity.adapters.disk import is_full
from comity.values.errors import InvalidInput, Unavailable

T = TypeVar("T")

TOGETHER = 64
"""Pieces of work in one transaction."""

PATIENCE = 0.1
"""Seconds that work which nobody waits for may lie, to share the transaction of other work."""


@final
@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work, and where its outcome goes."""

    work: Callable[[Connection], Any]
    future: Future[Any]
    patient: bool


@final
class Writer:
    """Runs pieces of work one after the other, each whole or not at all, and answers once they are on the disk.

    A commit waits for the disk, so that many pieces which share one are done in the time of one. What a piece
    raises takes back that piece alone; when the commit fails, all of it fails. A disk without room raises Unavailable.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T], *, patient: bool = False) -> Future[T]:
        """What `work` returns, once it is on the disk; patient work waits a moment for other work to go with."""
        future: Future[T] = Future()
        self._jobs.put(Job(work, future, patient))
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
            jobs = self._gathered()
            last = None in jobs
            self._commit([job for job in jobs if job is not None and job.future.set_running_or_notify_cancel()])
        if self._connection is not None:
            self._connection.close()

    def _gathered(self) -> list[Job | None]:
        """What is done in one transaction: all that is there, and if that is patient, what comes soon."""
        jobs = [self._jobs.get()]
        until = time.monotonic() + PATIENCE
        while len(jobs) < TOGETHER:
            patient = all(job is not None and job.patient for job in jobs)
            try:
                jobs.append(self._jobs.get(timeout=max(0.0, until - time.monotonic()) if patient else 0.0))
            except Empty:
                break
        return jobs

    def _commit(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        done: list[tuple[Future[Any], Any]] = []
        try:
            connection = self._connected()
            with connection.begin() as whole:
                for job in jobs:
                    part = connection.begin_nested() if len(jobs) > 1 else None
                    try:
                        with part or nullcontext():
                            done.append((job.future, job.work(connection)))
                    except Exception as error:
                        if _want_of_room(error):
                            raise  # SQLite has taken back the whole transaction; what came next would be none
                        if part is None:
                            whole.rollback()
                        job.future.set_exception(error)
        except Exception as error:
            self._disconnect()
            named = _named(error)
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(named)
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


def _want_of_room(error: BaseException | None) -> BaseException | None:
    """A disk without room behind whatever went wrong thereafter."""
    while error is not None and not is_full(error):
        error = error.__context__
    return error


def _named(error: Exception) -> Exception:
    cause = _want_of_room(error)
    if cause is None:
        return error
    structlog.get_logger().error("no room for the database", reason=str(cause).partition("\n")[0])
    named = Unavailable("the disk of the database has no room left, nothing was changed; ask who operates it for more")
    named.__cause__ = error
    return named
