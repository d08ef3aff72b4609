"""What Linux offers to know a process's descendants and to end with one's parent."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LIBC = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends; it ends at once if that has happened already."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def threads() -> int:
    """How many threads this process has, those of native libraries too."""
    return Path("/proc/self/task").stat().st_nlink - 2  # a folder for each, and "." and ".."


def children() -> set[int]:
    """The children of this process, which must be single-threaded. One that ends meanwhile may hide another."""
    pid = os.getpid()
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()))


def marked(mark: str) -> list[int]:
    """The processes of this machine whose environment held `mark` when they, or what they forked from, began."""
    numbers = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [pid for pid in numbers if has_mark(pid, mark)]


def has_mark(pid: int, mark: str) -> bool:
    """Whether that process is there, has not ended, and is marked."""
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def kill(pid: int) -> None:
    """SIGKILL a child, not yet waited for, and its process group if that is not this process's own."""
    with suppress(ProcessLookupError):
        if (group := os.getpgid(pid)) != os.getpgrp():
            os.killpg(group, SIGKILL)
        os.kill(pid, SIGKILL)


def _prctl(option: int, value: int) -> None:
    if LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) failed")
