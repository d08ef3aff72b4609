"""What a forked child does: one task, and then it is no more."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from time import monotonic_ns
from types import TracebackType
from typing import Any, NoReturn

from comity.adapters.execution import opener
from comity.adapters.execution.bundle import Loaded
from comity.adapters.execution.linux import adopt_orphans, die_first, die_with
from comity.adapters.execution.messages import STEPS, Report, Start, Step, encode
from comity.adapters.execution.script import Script

REPORT = 3
"""The only descriptor that a child has beside the standard ones."""

QUIET = ("comity.adapters.execution", "importlib", "runpy")
"""Modules whose frames tell a function's author nothing."""


def run(start: Start, load: Callable[[], Loaded], *, parent: int, log: int, report: int) -> NoReturn:
    """Run the task, its output to the pipe `log`, its Report to the pipe `report`, and end this process."""
    status = 1
    try:
        os.setsid()
        die_with(parent)
        adopt_orphans()  # so that what it leaves behind comes to the zygote when it ends, and not before
        _take_over(log, report)
        _settle(start)
        done = _perform(start, load)
        os.write(REPORT, encode(done))
        status = 1 if done.failed_in else 0
    except BaseException:  # the edge of this program
        traceback.print_exc()
    finally:
        os._exit(status)


def _take_over(log: int, report: int) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(report, REPORT, inheritable=False)
    os.closerange(REPORT + 1, os.sysconf("SC_OPEN_MAX"))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue] a text file's
    faulthandler.enable()


def _settle(start: Start) -> None:
    die_first()
    resource.setrlimit(resource.RLIMIT_CPU, (start.cpu_seconds, start.cpu_seconds))
    os.chdir(start.scratch)
    os.environ.update(HOME=start.scratch, TMPDIR=start.scratch)
    sys.argv = [""]
    # All children have the zygote's generator: without this they would draw the same noise.
    if (random := sys.modules.get("numpy.random")) is not None:
        random.seed()


def _perform(start: Start, load: Callable[[], Loaded]) -> Report:
    marks = [monotonic_ns()]
    exception = ""
    try:
        function = load()
        marks.append(monotonic_ns())
        if isinstance(function, Script):
            marks.append(marks[-1])  # it reads the data itself
            function.run(start)
        else:
            inputs: dict[str, Any] = dict(start.inputs)
            if start.opener is not None:
                inputs["datasamples"] = opener.load(Path(start.opener)).get_data(list(start.samples))
            marks.append(monotonic_ns())
            keys = {"compute_task_key": start.task_key, "compute_plan_key": start.plan_key}
            function(inputs, dict(start.outputs), {"rank": start.rank, **keys})
    except BaseException as error:  # the edge of this program: whatever it is, the log tells it
        exception = type(error).__name__ if type(error).__name__.isascii() else "Exception"
        traceback.print_exception(type(error), error, _users(error.__traceback__))
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    failed_in = STEPS[len(marks) - 1] if exception else None
    marks.append(monotonic_ns())
    durations: dict[Step, int] = {
        step: (end - begin) // 1000 for step, (begin, end) in zip(STEPS, pairwise(marks), strict=False)
    }
    return Report(durations, failed_in, exception[:100])


def _users(trace: TracebackType | None) -> TracebackType | None:
    while trace and (trace.tb_frame.f_globals.get("__name__") or "").startswith(QUIET):
        trace = trace.tb_next
    return trace
