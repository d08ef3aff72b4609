"""The state machines of functions, tasks and plans, as tables; names and rules are Substra's.

A status that waits is never logged: it follows from the function, its approval and the parents.
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

_WAITS: frozenset[TaskStatus] = frozenset(
    {
        "STATUS_WAITING_FOR_BUILDER_SLOT",
        "STATUS_BUILDING",
        "STATUS_WAITING_FOR_PARENT_TASKS",
        "STATUS_WAITING_FOR_EXECUTOR_SLOT",
    }
)

_ENDS: frozenset[TaskStatus] = frozenset({"STATUS_FAILED", "STATUS_CANCELED"})

_EXECUTES: frozenset[TaskStatus] = frozenset({"STATUS_EXECUTING"})

_NOTHING: frozenset[TaskStatus] = frozenset()

TASK: Mapping[TaskStatus, frozenset[TaskStatus]] = {
    "STATUS_WAITING_FOR_BUILDER_SLOT": _WAITS | _ENDS,
    "STATUS_BUILDING": _WAITS | _ENDS,
    "STATUS_WAITING_FOR_PARENT_TASKS": _WAITS | _ENDS,
    "STATUS_WAITING_FOR_EXECUTOR_SLOT": _WAITS | _ENDS | _EXECUTES,
    # executing again: an attempt was lost without a commit
    "STATUS_EXECUTING": _EXECUTES | ENDED,
    "STATUS_DONE": _NOTHING,
    "STATUS_FAILED": _NOTHING,
    "STATUS_CANCELED": _NOTHING,
}
"""Statuses that wait follow from function, approval and parents: a steward who takes an approval back sends a task
from the executor's slot to where it waits for a word again."""


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
