"""Memory and disk that a sandbox takes up, seen from its host: what no limit of the kernel's counts as it should.

RLIMIT_AS breaks torch, and pages that processes share after a fork must not be counted for each of them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from comity.adapters.execution.folders import usage
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


def disk(taken: Path, limits: Limits, *, tasks: int) -> str:
    """What is too much about the files below a folder, or nothing. Costs microseconds for each file."""
    size, files = usage(taken, most=limits.files * tasks)
    if files > limits.files * tasks:
        return f"files: more than the {limits.files} that a task may leave"
    if size > limits.disk * tasks:
        return f"files: {size // MIB} MiB, where a task may write {limits.disk // MIB}"
    return ""


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
