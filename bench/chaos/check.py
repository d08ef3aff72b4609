"""What must hold of a network's folders, whatever was killed."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import BRANCH
from comity.domain.entry import read_leaf, read_statement
from comity.domain.events import TaskDone
from comity.ledger.checkpoint import open_checkpoint
from comity.values.keys import Identity


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A database, read by the side of whoever writes it."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def size(database: Path) -> int:
    """How many entries a log has, as it stands there."""
    with reading(database) as connection:
        return connection.execute("select count(*) from leaves").fetchone()[0]


def leaves(database: Path) -> list[bytes]:
    """A log's leaves in their order."""
    with reading(database) as connection:
        return [row[0] for row in connection.execute("select leaf from leaves order by place")]


def verify(node: Path, hub: Path, channel: str) -> int:
    """How many entries a node's log has, after all of them were checked anew, from the first, by the rules.

    The root that comes out must be the one that the hub has signed last for this node, and the hub's own.
    """
    held = leaves(node)
    if held != leaves(hub):
        raise AssertionError(f"{node} and {hub} hold different logs")
    with TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder, "anew.db")), [BRANCH])

        def append(connection: object) -> tuple[int, bytes]:
            log = Log(connection, 1)  # type: ignore[arg-type]
            for leaf in held:
                log.append(leaf, {})
            return log.size, log.tree.root()

        counted, root = database.write(append)
        database.close()
    with reading(node) as connection:
        note = connection.execute("select note from checkpoints").fetchone()[0]
    key = Identity.from_bytes((hub.parent / "hub.key").read_bytes()).signing.public_key()
    signed = open_checkpoint(note, channel, key)
    if (signed.size, signed.root) != (counted, root):
        raise AssertionError(f"{node}: {counted} entries have another root than the hub signed for {signed.size}")
    return counted


def dones(database: Path) -> Counter[str]:
    """How often the log says of each task that it is done."""
    statements = [read_statement(read_leaf(leaf).statement) for leaf in leaves(database)]
    return Counter(event.key for each in statements for event in each.events if isinstance(event, TaskDone))


def commits(database: Path) -> set[str]:
    """The tasks whose outputs a node has committed."""
    with reading(database) as connection:
        return {row[0] for row in connection.execute("select task from commits")}


def channel(database: Path) -> str:
    """The digest of the one channel."""
    with reading(database) as connection:
        return connection.execute("select digest from channels").fetchone()[0]


def unfinished(database: Path) -> dict[str, int]:
    """Rows of a node that must be gone when all is said."""
    with reading(database) as connection:
        names = ("outbox", "sending")
        counts = {name: connection.execute(f"select count(*) from {name}").fetchone()[0] for name in names}
    return {name: count for name, count in counts.items() if count}


def left_over(folder: Path) -> list[str]:
    """Files of attempts, uploads and blobs under way that nobody will use again."""
    places = ("channels/*/scratch/*", "blobs/incoming/*", "bundles/*.new", "bundles/*.archive", "uploads/*")
    return sorted(str(path.relative_to(folder)) for place in places for path in folder.glob(place))


def attempts(database: Path) -> int:
    """How many attempts at tasks the log has."""
    with reading(database) as connection:
        bodies = [json.loads(row[0]) for row in connection.execute("select body from task_records")]
    return sum(each.get("attempt", 0) for each in bodies)
