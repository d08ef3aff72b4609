"""Plans that grow: the rounds of an experiment, as its conductor decides them.

The keys of tasks follow from plan, round, stage, site and attempt, so a decision made twice is known.
"""

from __future__ import annotations

import uuid

from msgspec.structs import replace

from comity.domain.added import check_model
from comity.domain.events import PlanCompleted, RoundClosed, TaskInput
from comity.domain.membership import Act
from comity.domain.plans import move, own_plan, settle
from comity.domain.records import Child, Draft, Function, Plan, Task, need
from comity.domain.states import ENDED
from comity.domain.tasks import function_changed, waits
from comity.domain.words import Stage
from comity.values.errors import Conflict, InvalidInput

TAKES: dict[Stage, tuple[Stage, str, str]] = {
    "sum": ("local", "contribution", "parts"),
    "step": ("local", "contribution", "parts"),
    "scores": ("evaluate", "scores", "parts"),
}
"""What a task of this stage gathers: the stage of its parts, their output, and its own input."""


def task_key(plan: str, round: int, stage: Stage, site: str = "", attempt: int = 1) -> str:
    """The key of a growing plan's task.

    >>> task_key("00000000-0000-0000-0000-000000000000", 1, "local", "a")
    '93678378-70d0-5201-aa77-011f0be7fb34'
    """
    return str(uuid.uuid5(uuid.UUID(plan), f"{round} {stage} {site} {attempt}"))


def plan_completed(records: Draft, act: Act, event: PlanCompleted) -> None:
    """The owner says that no more tasks will come."""
    plan = own_plan(records, event.key, act)
    if plan.complete:
        raise Conflict(f"the plan {plan.key} has all its tasks already")
    settle(records, act, replace(plan, complete=True))


def round_closed(records: Draft, act: Act, event: RoundClosed) -> None:
    """The task that gathers takes the parts that are included, and no other; without any it fails."""
    task = need(records, Task, event.task)
    plan = own_plan(records, task.plan, act)
    if not task.gathers:
        raise Conflict(f"task {task.key} does not wait to be told what it takes")
    assert task.stage
    stage, output, given = TAKES[task.stage]
    parts = [need(records, Task, key) for key in event.included]
    for part in parts:
        if (part.plan, part.round, part.stage) != (task.plan, task.round, stage) or part.status != "STATUS_DONE":
            raise InvalidInput(f"task {part.key} is no part of round {task.round} that is done")
    if len({part.worker for part in parts}) < len(parts):
        raise InvalidInput(f"round {task.round} takes one part of each site")
    taken = tuple(TaskInput(identifier=given, parent=part.key, output=output) for part in parts)
    function = need(records, Function, task.function)
    for each in taken:
        check_model(records, task, function, each)
    _check_least(parts, output)
    records.put(_measured(plan, task) if stage == "evaluate" else _trained(records, plan, task, parts))
    others = tuple(each for each in task.inputs if each.identifier != given)
    for part in parts:
        records.put(Child(key=f"{part.key}|{task.key}", parent=part.key, child=task.key))
    task = replace(task, gathers=False, inputs=(*others, *taken))
    task = replace(task, rank=1 + max((part.rank for part in parts), default=task.rank - 1))
    if not parts:
        if task.status not in ENDED:
            move(records, act, replace(task, error="EXECUTION_ERROR"), "STATUS_FAILED")
        return
    task = replace(task, waiting=waits(records, task))
    records.put(task)
    function_changed(records, act, task)


def _check_least(parts: list[Task], output: str) -> None:
    for part in parts:
        aggregate = part.outputs[output].aggregate
        if aggregate is not None and len(parts) < aggregate.least:
            raise InvalidInput(
                f"{part.worker} lets its part be added to those of {aggregate.least - 1} others at least, "
                f"not of {len(parts) - 1}"
            )


def _measured(plan: Plan, task: Task) -> Plan:
    return replace(plan, measuring=tuple(each for each in plan.measuring if each != task.round))


def _trained(records: Draft, plan: Plan, task: Task, parts: list[Task]) -> Plan:
    """Whose memory goes on, and who was not there; memories that nobody takes up again become transient."""
    included = {part.worker: part.key for part in parts}
    absent: list[str] = []
    for key in (each.parent for each in task.inputs if each.parent):
        local = need(records, Task, key)
        if local.stage == "local" and local.worker not in included and local.status != "STATUS_FAILED":
            absent.append(local.worker)
    for site in included:
        if (before := plan.memories.get(site)) is not None:
            old = need(records, Task, before)
            if (memory := old.outputs.get("memory")) is not None:
                records.put(replace(old, outputs={**old.outputs, "memory": replace(memory, transient=True)}))
    return replace(plan, rounds_closed=task.round, memories={**plan.memories, **included}, absent=tuple(sorted(absent)))
