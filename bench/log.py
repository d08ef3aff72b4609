"""Entries a second that a log in a database takes and projects, beside a floor that verifies and inserts them.

Usage: python bench/log.py [TASKS]. The tasks of one plan are added, started and done, as hub and nodes append them:
an event to an entry or 200, an entry to a transaction or 200, on SQLite and on PostgreSQL, every commit on the disk.
Prints entries a second; milliseconds for an entry, and their ratio to the floor on the same database: medians of
interleaved pairs.
"""

import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import psycopg
from sqlalchemy import Connection

sys.path.insert(0, str(Path(__file__).parent))

from admit import ME, begun, key, signed_parts, task
from floors.appending import append as floor
from postgresql import server
from ratio import line

from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Log, Memo
from comity.adapters.sql.schema import BRANCH
from comity.domain.events import AnyEvent, OutputMade, TaskDone, TaskStarted
from comity.values.keys import from_base64

PAIRS, MANY = 5, 200
BLOB = "sha256:" + "0" * 64
SHAPES = {"1 event, alone": (1, 1), "1 event, 200 together": (1, MANY), "200 events, alone": (MANY, 1)}


def main(tasks: int, folder: Path) -> None:
    with server(folder / "postgresql") as new_database:
        print(f"{tasks} tasks of one plan added, started, done; time for an entry on the disk, {PAIRS} pairs")
        for name, (events, together) in SHAPES.items():
            before, leaves = traffic(tasks, events)
            batches = [leaves[at : at + together] for at in range(0, len(leaves), together)]
            signed = [[signed_parts(leaf)[:2] for leaf in batch] for batch in batches]
            for kind in ("SQLite", "PostgreSQL"):
                ours, floors = list[float](), list[float]()
                for turn in range(PAIRS):
                    path = folder / f"{name}{turn}.db"
                    url = sqlite_url(path) if kind == "SQLite" else new_database()
                    ours.append(take(url, before, batches))
                    floors.append(insert(url, signed))
                print(f"{name}, {kind}: {len(leaves) / median(ours):.0f} entries a second")
                line("verify, hash, insert", floors, floors, 1e3 / len(leaves), "ms", None)
                line("append and project", ours, floors, 1e3 / len(leaves), "ms", None)


def traffic(tasks: int, together: int) -> tuple[list[bytes], list[bytes]]:
    """The leaves that a log begins with, and those of a plan's life with so many events each."""
    log = begun()
    before = list(log.taken)
    events: list[AnyEvent] = []
    for first in range(0, tasks, MANY):
        numbers = range(first, min(first + MANY, tasks))
        events += map(task, numbers)
        for each in numbers:
            made = OutputMade(key=key("model", each), blob=BLOB, size=1)
            done = TaskDone(key=key("task", each), outputs={"model": made}, durations={"run": 1})
            events += [TaskStarted(key=key("task", each), attempt=1), done]
    for at in range(0, len(events), together):
        log.take(log.written(*events[at : at + together]))
    return before, log.taken[len(before) :]


def take(url: str, before: Sequence[bytes], batches: Sequence[Sequence[bytes]]) -> float:
    """Seconds that the log takes."""
    memo = Memo()

    def append(leaves: Sequence[bytes], connection: Connection) -> None:
        for leaf in leaves:
            Log(connection, 1, memo).append(leaf, {})

    with closing(Database(url, [BRANCH])) as database:
        database.write(partial(append, before))
        return seconds(lambda: [database.write(partial(append, batch)) for batch in batches])


def insert(url: str, batches: Sequence[list[tuple[bytes, bytes]]]) -> float:
    """Seconds that the floor takes."""
    public = from_base64(ME.public.signing)
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            return seconds(lambda: floor(connection.cursor(), "BEGIN IMMEDIATE", "?", public, batches))
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as connection:
        return seconds(lambda: floor(connection.cursor(), "BEGIN", "%s", public, batches))


def seconds(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 400, Path(made))
