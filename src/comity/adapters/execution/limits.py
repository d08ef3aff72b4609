"""What a task may use up."""

import os
from dataclasses import dataclass, field
from typing import final

from comity.values import bounds

MIB = 2**20
GIB = 2**30


def _most_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of each task, but for processes, files and temporary files: of all that run in one sandbox."""

    memory: int = field(default_factory=_most_memory)
    """Bytes, shared pages counted in part; three quarters of the machine's unless told."""
    disk: int = 20 * GIB
    """Bytes of its outputs and of all else that it writes."""
    files: int = 100_000
    """How many it leaves on the disk."""
    temporary: int = 256 * MIB
    """Bytes in /tmp, and again in /dev/shm; they are memory."""
    processes: int = 1024
    """Threads count too."""
    open_files: int = 1024
    """That one process may have open at a time."""

    def __post_init__(self) -> None:
        for name in ("memory", "disk", "files", "temporary", "processes", "open_files"):
            bounds.count(name, getattr(self, name), least=1)
