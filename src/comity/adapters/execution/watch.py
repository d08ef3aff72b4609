"""Memory and disk that a sandbox takes up, seen from its host: what no limit of the kernel's counts as it should.

RLIMIT_AS breaks torch, and pages that processes share after a fork must not be counted for each of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from comity.adapters.execution.folders import usage
from comity.adapters.execution.isolation import IN_MEMORY
from comity.adapters.execution.limits import MIB, Limits
from comity.adapters.execution.linux import descendants_of

PAGE = os.sysconf("SC_PAGE_SIZE")


def memory(base: int, limits: Limits, *, tasks: int) -> str:
    """What is too much about the memory of a base process and all beneath it, or nothing.

    Costs microseconds for each process, unless memory may be short.
    """
    most, processes = limits.memory * tasks, {base, *descendants_of(base)}
    # The first sum counts shared pages for each process, and is cheap.
    if sum(map(_resident, processes)) <= most or (used := sum(map(_proportional, processes))) <= most:
        return ""
    return f"memory: {used // MIB} MiB, where a task may have {limits.memory // MIB}"


def disk(base: int, written: Sequence[Path], limits: Limits, *, tasks: int) -> str:
    """What is too much about the files below folders of one disk, those without a name and those in memory, or nothing.

    Costs microseconds for each file and for each descriptor.
    NOT seen: a file without a name that lies in a message between sockets; and, unless this process is root's, one that
    is open, or more of one that is mapped than is mapped of it.
    """
    most = limits.files * tasks
    found = [usage(each, most=most) for each in written]
    if hidden := next((each.hidden for each in found if each.hidden), ""):
        return f"files: {hidden}"
    size, files = _nameless(base, os.stat(written[0]).st_dev, most=most)  # noqa: PTH116
    size += sum(each.size for each in found)
    files += sum(each.files for each in found) + _in_memory(base)
    if files > most:
        return f"files: more than the {limits.files} that a task may leave"
    if size > limits.disk * tasks:
        return f"files: {size // MIB} MiB, where a task may write {limits.disk // MIB}"
    return ""


def _nameless(base: int, device: int, *, most: int) -> tuple[int, int]:
    """Bytes on a disk, and count, of the files there that were deleted and are still open or mapped."""
    found: dict[int, int] = {}
    looked = 0
    for pid in descendants_of(base):
        with suppress(OSError):
            for each in os.scandir(f"/proc/{pid}/fd"):
                if (looked := looked + 1) > most:
                    return 0, looked
                with suppress(OSError):
                    state = os.stat(each.path)  # noqa: PTH116
                    if state.st_nlink == 0 and state.st_dev == device and stat.S_ISREG(state.st_mode):
                        found[state.st_ino] = state.st_blocks * 512
        with suppress(OSError, ValueError):
            for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
                if line.endswith(b"(deleted)"):
                    _add_mapped(pid, line, device, found)
    return sum(found.values()), len(found)


def _add_mapped(pid: int, line: bytes, device: int, found: dict[int, int]) -> None:
    span, _, _, numbers, inode, *_ = line.split()
    if int(inode) in found or tuple(int(each, 16) for each in numbers.split(b":")) != _divided(device):
        return
    try:
        size = os.stat(f"/proc/{pid}/map_files/{span.decode()}").st_blocks * 512  # noqa: PTH116
    except OSError:  # not root
        first, end = (int(each, 16) for each in span.split(b"-"))
        size = end - first
    found[int(inode)] = size


def _divided(device: int) -> tuple[int, int]:
    return os.major(device), os.minor(device)


def _in_memory(base: int) -> int:
    """How many files lie in the sandbox's own /tmp and /dev/shm."""
    count = 0
    for folder in IN_MEMORY:
        with suppress(OSError):
            if Path(f"/proc/{base}/root").samefile("/"):
                return 0
            there = os.statvfs(f"/proc/{base}/root{folder}")
            count += there.f_files - there.f_ffree
    return count


def _resident(pid: int) -> int:
    """Bytes of a process, shared pages in full; 0 when it is gone."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE
    return 0


def _proportional(pid: int) -> int:
    """Bytes of a process, pages that n processes share counted as an n-th; 0 when it is gone.

    In full where the kernel does not tell.
    """
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except ProcessLookupError:
        return 0
    except OSError:
        return _resident(pid)
    return 0
