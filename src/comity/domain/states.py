"""The state machines of functions, tasks and plans, as tables; names and rules are Substra's.

A status of a task that waits is never logged: it follows from the function, its approval at the worker and the
parents. Several of them may come true at once, so a task can skip statuses that it would have waited in; it never goes
back to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

FunctionStatus: TypeAlias = Literal[
    "FUNCTION_STATUS_WAITING",
    "FUNCTION_STATUS_BUILDING",
    "FUNCTION_STATUS_READY",
    "FUNCTION_STATUS_FAILED",
    "FUNCTION_STATUS_CANCELED",
]

TaskStatus: TypeAlias = Literal[
    "STATUS_WAITING_FOR_BUILDER_SLOT",
    "STATUS_BUILDING",
    "STATUS_WAITING_FOR_PARENT_TASKS",
    "STATUS_WAITING_FOR_EXECUTOR_SLOT",
    "STATUS_EXECUTING",
    "STATUS_DONE",
    "STATUS_FAILED",
    "STATUS_CANCELED",
]

PlanStatus: TypeAlias = Literal[
    "PLAN_STATUS_CREATED",
    "PLAN_STATUS_DOING",
    "PLAN_STATUS_DONE",
    "PLAN_STATUS_FAILED",
    "PLAN_STATUS_CANCELED",
]

FUNCTION: Mapping[FunctionStatus, frozenset[FunctionStatus]] = {
    "FUNCTION_STATUS_WAITING": frozenset({"FUNCTION_STATUS_BUILDING", "FUNCTION_STATUS_CANCELED"}),
    "FUNCTION_STATUS_BUILDING": frozenset(
        {"FUNCTION_STATUS_READY", "FUNCTION_STATUS_FAILED", "FUNCTION_STATUS_CANCELED"}
    ),
    "FUNCTION_STATUS_READY": frozenset(),
    "FUNCTION_STATUS_FAILED": frozenset(),
    "FUNCTION_STATUS_CANCELED": frozenset(),
}

ENDED: frozenset[TaskStatus] = frozenset({"STATUS_DONE", "STATUS_FAILED", "STATUS_CANCELED"})

WAITING: frozenset[TaskStatus] = frozenset(
    {
        "STATUS_WAITING_FOR_BUILDER_SLOT",
        "STATUS_BUILDING",
        "STATUS_WAITING_FOR_PARENT_TASKS",
        "STATUS_WAITING_FOR_EXECUTOR_SLOT",
    }
)

OVER: frozenset[PlanStatus] = frozenset({"PLAN_STATUS_DONE", "PLAN_STATUS_FAILED", "PLAN_STATUS_CANCELED"})

_ENDS: frozenset[TaskStatus] = frozenset({"STATUS_FAILED", "STATUS_CANCELED"})

_READY: frozenset[TaskStatus] = frozenset({"STATUS_WAITING_FOR_PARENT_TASKS", "STATUS_WAITING_FOR_EXECUTOR_SLOT"})

TASK: Mapping[TaskStatus, frozenset[TaskStatus]] = {
    "STATUS_WAITING_FOR_BUILDER_SLOT": frozenset[TaskStatus]({"STATUS_BUILDING"}) | _READY | _ENDS,
    "STATUS_BUILDING": _READY | _ENDS,
    "STATUS_WAITING_FOR_PARENT_TASKS": frozenset[TaskStatus]({"STATUS_WAITING_FOR_EXECUTOR_SLOT"}) | _ENDS,
    "STATUS_WAITING_FOR_EXECUTOR_SLOT": frozenset[TaskStatus]({"STATUS_EXECUTING"}) | _ENDS,
    # executing again: an attempt was lost without a commit
    "STATUS_EXECUTING": frozenset[TaskStatus]({"STATUS_EXECUTING"}) | ENDED,
    "STATUS_DONE": frozenset(),
    "STATUS_FAILED": frozenset(),
    "STATUS_CANCELED": frozenset(),
}


def plan_status(counts: Mapping[TaskStatus, int], *, cancelled: bool) -> PlanStatus:
    """The status of a plan, from the number of its required tasks by status.

    >>> plan_status({"STATUS_DONE": 2}, cancelled=False), plan_status({}, cancelled=False)
    ('PLAN_STATUS_DONE', 'PLAN_STATUS_CREATED')
    """
    total = sum(counts.values())
    if cancelled or counts.get("STATUS_CANCELED", 0):
        return "PLAN_STATUS_CANCELED"
    if counts.get("STATUS_WAITING_FOR_BUILDER_SLOT", 0) == total:
        return "PLAN_STATUS_CREATED"
    if counts.get("STATUS_DONE", 0) == total:
        return "PLAN_STATUS_DONE"
    if counts.get("STATUS_FAILED", 0):
        return "PLAN_STATUS_FAILED"
    return "PLAN_STATUS_DOING"
