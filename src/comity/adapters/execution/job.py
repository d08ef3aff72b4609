"""A task to run and what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from signal import SIGKILL, SIGXCPU, Signals
from typing import final

from comity.adapters.execution.messages import Ended, Step
from comity.values import bounds
from comity.values.errors import InvalidInput

_PLAIN = re.compile(r"[A-Za-z0-9_][ -.0-\[\]-~]{0,99}")


class Status(StrEnum):
    """How a task ended."""

    DONE = "done"
    FAILED = "failed"
    """By its own code: EXECUTION_ERROR, and running it again would not help."""
    LOST = "lost"
    """Through no fault of its own; it may be run again."""
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One task and where everything it needs lies. All paths are absolute."""

    task_key: str
    plan_key: str
    rank: int
    bundle: Path
    """The folder of the unpacked bundle. It is not written to."""
    inputs: Mapping[str, Path | tuple[Path, ...]] = field(default_factory=dict[str, Path | tuple[Path, ...]])
    """By identifier; many for an input that is multiple. Data samples are not among them."""
    opener: Path | None = None
    samples: tuple[Path, ...] = ()
    """The data samples' folders in order, for the opener."""
    mounts: tuple[Path, ...] = ()
    """Other data samples of its plan that it may see: tasks with the same ones can share a sandbox."""
    outputs: Mapping[str, Path]
    """By identifier: where the regular file that it leaves is put at its end, beyond its reach."""
    log: Path
    """Where what it has printed is put at its end."""
    seconds: float
    """Of wall-clock time before it is killed."""

    def __post_init__(self) -> None:
        bounds.positive("seconds", self.seconds)
        bounds.count("rank", self.rank)
        if "datasamples" in self.inputs or (self.samples and self.opener is None):
            raise InvalidInput("data samples are given as samples, with an opener to read them")
        given = [path for each in self.inputs.values() for path in (each if isinstance(each, tuple) else (each,))]
        opener = [] if self.opener is None else [self.opener]
        places = (*self.samples, *self.mounts, *given, *self.outputs.values())
        for path in (self.bundle, self.log, *opener, *places):
            if not path.is_absolute() or ".." in path.parts:
                raise InvalidInput(f"{path} must be an absolute path without '..'")
        for name in (self.task_key, *self.inputs, *self.outputs):
            if not _PLAIN.fullmatch(name):
                raise InvalidInput(f"{name!r} must be a plain name, which can stand in a path")


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended, in which error, and how many microseconds the steps took that it reached."""

    status: Status
    error: str = ""
    """One sentence without anything of the data; it also is the last line of the log. Empty when done."""
    durations: Mapping[Step, int] = field(default_factory=dict[Step, int])

    @property
    def lost(self) -> bool:
        """Whether it may be run again."""
        return self.status is Status.LOST


def judged(ended: Ended) -> Outcome:
    """What a job's processes have told, before its outputs are looked at."""
    report = ended.report
    if ended.status == -SIGKILL:
        return Outcome(Status.LOST, "the process was killed from outside; was memory short?")
    if ended.status == -SIGXCPU:
        return Outcome(Status.FAILED, "the task used more CPU time than all CPUs have in its time")
    if report is None or (report.failed_in is None and ended.status != 0):
        return Outcome(Status.FAILED, f"the process {_cause(ended.status)} before the function returned")
    if report.failed_in is not None:
        return Outcome(Status.FAILED, f"{report.exception} in {report.failed_in}", report.durations)
    return Outcome(Status.DONE, "", report.durations)


def _cause(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    names = {int(each): each.name for each in Signals}
    return f"was ended by {names.get(-status, f'signal {-status}')}"
