"""Room on a disk, some of which is left alone: a program that cannot write down what it does can do nothing else."""

from __future__ import annotations

import shutil
import sqlite3
from errno import EDQUOT, ENOSPC
from pathlib import Path

from sqlalchemy.exc import DBAPIError

LEFT = 256 << 20
"""Bytes that what users send leaves free."""


FULL = (ENOSPC, EDQUOT)

SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)

POSTGRESQL_FULL = "53100"
"""The SQLSTATE of `disk_full` (PostgreSQL's manual, appendix A)."""


def is_full(error: BaseException) -> bool:
    """Whether this is what a disk, or a database on one, says when it has no room."""
    if isinstance(error, DBAPIError):
        code, state = (getattr(error.orig, name, None) for name in ("sqlite_errorcode", "sqlstate"))
        return code in SQLITE_FULL or state == POSTGRESQL_FULL
    return isinstance(error, OSError) and error.errno in FULL


def room(folder: Path) -> int:
    """Bytes that may still be written below a folder; raises OSError, as the disk itself would, when there are none."""
    free = shutil.disk_usage(folder).free - LEFT
    if free <= 0:
        raise OSError(ENOSPC, f"less than {LEFT} bytes are free", str(folder))
    return free
