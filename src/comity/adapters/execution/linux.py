"""What Linux offers to know a process's descendants and to end with one's parent."""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
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


def keep_to_itself() -> None:
    """Let no process of the same user look into this one, nor into what it forks: until that runs another program.

    Its memory and its descriptors are then root's alone, and of whoever made the sandbox.
    """
    _prctl(PR_SET_DUMPABLE, 0)


def die_first() -> None:
    """When memory is short, have the kernel end this process and its descendants rather than the node."""
    with suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"500")
        os.close(score)


def threads() -> int:
    """How many threads this process has, those of native libraries too."""
    return Path("/proc/self/task").stat().st_nlink - 2  # a folder for each, and "." and ".."


def children() -> set[int]:
    """The children of this process, which must be single-threaded. One that ends meanwhile may hide another."""
    pid = os.getpid()
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()))


def children_of(pid: int) -> set[int]:
    """The children of another process, whichever of its threads forked them; none when it is gone.

    One that ends meanwhile may hide another.
    """
    found: set[int] = set()
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found.update(map(int, (thread / "children").read_bytes().split()))
    return found


def descendants_of(pid: int) -> set[int]:
    """All that came of another process and lies beneath it."""
    found: set[int] = set()
    left = [pid]
    while left:
        new = children_of(left.pop()) - found
        found |= new
        left.extend(new)
    return found


def wake_at_ends() -> int:
    """The reading end of a pipe that gets a byte whenever a child of this process ends."""
    ended, wake = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return ended


def reaped() -> dict[int, int]:
    """The children of this process that have ended, now waited for, and their exit statuses or negated signals."""
    found: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            found[pid] = os.waitstatus_to_exitcode(status)
    return found


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
