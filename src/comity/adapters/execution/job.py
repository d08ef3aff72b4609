"""A task to run and what became of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from signal import SIGKILL, Signals
from time import monotonic_ns
from typing import final

from comity.adapters.execution.log import add_line
from comity.adapters.execution.messages import Ended, Start, Step
from comity.values import bounds
from comity.values.errors import InvalidInput


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
    outputs: Mapping[str, Path]
    """By identifier: where in the scratch folder the function is to leave a regular file."""
    scratch: Path
    """An empty folder of its own, where it may write."""
    log: Path
    """Where its standard output and error go: a file outside of the scratch folder."""
    seconds: float
    """Of wall-clock time before it is killed."""

    def __post_init__(self) -> None:
        bounds.positive("seconds", self.seconds)
        bounds.count("rank", self.rank)
        if "datasamples" in self.inputs or (self.samples and self.opener is None):
            raise InvalidInput("data samples are given as samples, with an opener to read them")
        given = [path for each in self.inputs.values() for path in (each if isinstance(each, tuple) else (each,))]
        opener = [] if self.opener is None else [self.opener]
        for path in (self.bundle, self.scratch, self.log, *opener, *self.samples, *given, *self.outputs.values()):
            if not path.is_absolute() or ".." in path.parts:
                raise InvalidInput(f"{path} must be an absolute path without '..'")
        for name, path in self.outputs.items():
            if self.scratch not in path.parents:
                raise InvalidInput(f"the output {name!r} is to be at {path}, which is not in {self.scratch}")
        if self.scratch in self.log.parents:
            raise InvalidInput(f"the log {self.log} must not be in the scratch folder, where the task may change it")

    def start(self) -> Start:
        """What the base process is told."""
        return Start(
            task_key=self.task_key,
            plan_key=self.plan_key,
            rank=self.rank,
            bundle=str(self.bundle),
            inputs={
                name: [str(path) for path in given] if isinstance(given, tuple) else str(given)
                for name, given in self.inputs.items()
            },
            opener=self.opener and str(self.opener),
            samples=[str(path) for path in self.samples],
            outputs={name: str(path) for name, path in self.outputs.items()},
            scratch=str(self.scratch),
            log=str(self.log),
        )


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


def conclude(job: Job, end: Ended | Outcome) -> Outcome:
    """The outcome of a job whose processes are gone; an error is added to its log."""
    outcome = end if isinstance(end, Outcome) else _judge(job, end)
    if outcome.error:
        add_line(job.log, outcome.error)
    return outcome


def _judge(job: Job, ended: Ended) -> Outcome:
    report = ended.report
    if ended.status == -SIGKILL:
        return Outcome(Status.LOST, "the process was killed from outside; was memory short?")
    if report is None or (report.failed_in is None and ended.status != 0):
        return Outcome(Status.FAILED, f"the process {_cause(ended.status)} before the function returned")
    if report.failed_in is not None:
        return Outcome(Status.FAILED, f"{report.exception} in {report.failed_in}", report.durations)
    began = monotonic_ns()
    fault = next((fault for name, path in job.outputs.items() if (fault := _fault(job, name, path))), "")
    durations: dict[Step, int] = {**report.durations, "save_outputs": (monotonic_ns() - began) // 1000}
    return Outcome(Status.FAILED if fault else Status.DONE, fault, durations)


def _cause(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    names = {int(each): each.name for each in Signals}
    return f"was ended by {names.get(-status, f'signal {-status}')}"


def _fault(job: Job, name: str, path: Path) -> str:
    """What is wrong with an output, or nothing. A link would lead to, or share, a file that is not the task's."""
    try:
        # The function may have put a link in the place of a folder.
        if not path.parent.resolve(strict=True).is_relative_to(job.scratch.resolve(strict=True)):
            return f"the output {name!r} leads out of the scratch folder"
        found = os.lstat(path)
    except (OSError, RuntimeError):
        return f"the function left no file for the output {name!r}"
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return f"the function left a folder, a link or a device for the output {name!r}; a regular file belongs there"
    return ""
