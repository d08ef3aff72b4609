"""What processes use while something goes on: CPU seconds, and memory at its peak."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

MEGABYTE = 1_000_000

LOOK = 0.1
"""Seconds between two looks at proportional memory, of which the kernel keeps no peak."""

TICK = os.sysconf("SC_CLK_TCK")


class Watch:
    """Groups of processes by name, watched while it is entered; a group's figures are of all its processes together.

    cpu: seconds, in user and system, of the processes and of those of their children that have ended.
    resident: MB that were in memory at most, each page counted in every process that has it.
    proportional: MB likewise, a page that n processes share counted as an n-th in each of them.
    anonymous: MB of that which are no file's, at most; what is mapped of one, the kernel takes back when it needs it.
    """

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = groups
        self.cpu = dict.fromkeys(groups, 0.0)
        self.resident = dict.fromkeys(groups, 0.0)
        self.proportional = dict.fromkeys(groups, 0.0)
        self.anonymous = dict.fromkeys(groups, 0.0)

    def __enter__(self) -> Watch:
        for pid in (each for pids in self._groups.values() for each in pids):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the kernel's peak is counted from here on
        self._before = {name: sum(map(cpu, pids)) for name, pids in self._groups.items()}
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looking.join()
        for name, pids in self._groups.items():
            self.cpu[name] = sum(map(cpu, pids)) - self._before[name]
            self.resident[name] = sum(_said(pid, "status", "VmHWM") for pid in pids)

    def _look(self) -> None:
        while True:
            for name, pids in self._groups.items():
                for most, word in ((self.proportional, "Pss"), (self.anonymous, "Pss_Anon")):
                    most[name] = max(most[name], sum(_said(pid, "smaps_rollup", word) for pid in pids))
            if self._over.wait(LOOK):
                return


def cpu(pid: int) -> float:
    """Seconds that a process and its ended children have computed; none of one that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15])) / TICK
    return 0.0


def _said(pid: int, file: str, word: str) -> float:
    found = None
    with suppress(FileNotFoundError, ProcessLookupError):
        found = re.search(rf"^{word}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / MEGABYTE if found else 0.0
