"""A database is brought from one revision to another, by alembic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select

from comity.adapters.sql.branch import Branch, versions
from comity.values.errors import NotSupported


def upgrade(connection: Connection, branches: Sequence[Branch]) -> None:
    """Bring every branch to its head; raises NotSupported for a revision that this version does not know."""
    scripts = _scripts(branches)
    known = {each.revision for each in scripts.walk_revisions()}
    for found in connection.execute(select(versions.c.version_num)).scalars():
        if found not in known:
            raise NotSupported(
                f"the database is at the revision {found}, which this comity does not know; "
                "upgrade comity, or name a database that is this program's"
            )
    _run(connection, scripts, lambda revision, _: scripts._upgrade_revs("heads", revision))  # pyright: ignore[reportPrivateUsage]


def downgrade(connection: Connection, branches: Sequence[Branch], revision: str) -> None:
    """Bring the database down to a revision, `base` for the one without tables; what has no place there is lost."""
    scripts = _scripts(branches)
    _run(connection, scripts, lambda now, _: scripts._downgrade_revs(revision, now))  # pyright: ignore[reportPrivateUsage]


def _scripts(branches: Sequence[Branch]) -> ScriptDirectory:
    folders = [str(each.migrations) for each in branches]
    return ScriptDirectory(folders[0], version_locations=folders)


def _run(connection: Connection, scripts: ScriptDirectory, steps: Any) -> None:
    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
