"""Room on a disk, some of which is left alone: a program that cannot write down what it does can do nothing else."""

from __future__ import annotations

import shutil
from errno import ENOSPC
from pathlib import Path

LEFT = 256 << 20
"""Bytes that what users send leaves free."""


def room(folder: Path) -> int:
    """Bytes that may still be written below a folder; raises OSError, as the disk itself would, when there are none."""
    free = shutil.disk_usage(folder).free - LEFT
    if free <= 0:
        raise OSError(ENOSPC, f"less than {LEFT} bytes are free", str(folder))
    return free
