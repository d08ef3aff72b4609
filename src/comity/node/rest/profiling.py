"""How long each step of a task, or of a function's build, took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from comity.adapters.execution.messages import STEPS
from comity.domain.records import Function, Task
from comity.node.rest.pages import Listing
from comity.node.rest.render import View

BUILD = ("build_image", "save_function")
"""Steps of a build, by the names that Substra's profiling gives them."""


class Step(TypedDict):
    """One step, and the microseconds that it took."""

    step: str
    duration: int


class TaskProfile(TypedDict):
    """The steps of a task that is done; durations in microseconds, the whole one null until it has ended."""

    compute_task_key: str
    task_duration: int | None
    execution_rundown: list[Step]


class FunctionProfile(TypedDict):
    """The steps of a function's build; durations in microseconds, the whole one null until it is ready."""

    function_key: str
    duration: int | None
    execution_rundown: list[Step]


def of_task(view: View, each: Task) -> TaskProfile:
    """The steps of a task."""
    # A short task's start and end may stand in one entry of the log, which has one time.
    took = max((each.ended_at - each.started_at) * 1000, sum(each.durations.values()))
    return {
        "compute_task_key": each.key,
        "task_duration": took if each.ended_at and each.started_at else None,
        "execution_rundown": _steps(each.durations, STEPS),
    }


def of_function(view: View, each: Function) -> FunctionProfile:
    """The steps of a function's build."""
    return {
        "function_key": each.key,
        "duration": sum(each.durations.values()) if each.status == "FUNCTION_STATUS_READY" else None,
        "execution_rundown": _steps(each.durations, BUILD),
    }


TASKS = Listing(kind=Task, write=of_task, indexed={"compute_task_key": "key"}, size=1000)


def _steps(durations: Mapping[str, int], order: Sequence[str]) -> list[Step]:
    """In the order in which they are done; those that another version names come last."""
    known = [each for each in order if each in durations]
    return [{"step": each, "duration": durations[each]} for each in [*known, *sorted(durations.keys() - set(order))]]
