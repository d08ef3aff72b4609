"""Plans that grow: the rounds of an experiment, as its conductor decides them.

The keys of tasks follow from plan, round, stage, site and attempt, so a decision made twice is known.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from msgspec.structs import replace

from comity.domain import added
from comity.domain.added import check_least, check_model
from comity.domain.events import Aggregate, PlanCompleted, RoundClosed, TaskAdded, TaskInput
from comity.domain.membership import Act
from comity.domain.plans import move, own_plan, settle
from comity.domain.records import Draft, Function, MaskedSum, Plan, Task, need
from comity.domain.releasing import let_go, made_transient, took
from comity.domain.states import ENDED, WAITING
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


def task_added(records: Draft, act: Act, event: TaskAdded) -> None:
    """One more task of the author's plan, static or growing; raises what does not fit."""
    added.task_added(records, act, event)
    plan = need(records, Plan, event.plan)
    if event.stage == "local":
        records.put(replace(plan, rounds_added=max(plan.rounds_added, event.round)))
        _tried_again(records, plan, event)
    elif event.stage == "scores":
        records.put(replace(plan, measuring=(*plan.measuring, event.round)))


def _tried_again(records: Draft, plan: Plan, event: TaskAdded) -> None:
    """A site's further attempt at its part is one more that the task which gathers may be told to take."""
    each_seen = plan.growth is not None and plan.growth.sees_each
    gathering = records.get(Task, task_key(plan.key, event.round, "step" if each_seen else "sum"))
    if gathering is None or not gathering.gathers or gathering.status in ENDED:
        return
    _, output, given = TAKES["sum"]
    if output in event.outputs:
        part = TaskInput(identifier=given, parent=event.key, output=output)
        records.put(replace(gathering, inputs=(*gathering.inputs, part)))
        took(records, event.key, gathering)


def attempts(plan: Plan, number: int, site: str, stage: Stage = "local") -> list[str]:
    """Keys that the attempts of a site at its part may have."""
    assert plan.growth is not None
    return [task_key(plan.key, number, stage, site, attempt) for attempt in range(1, plan.growth.retries + 2)]


def plan_completed(records: Draft, act: Act, event: PlanCompleted) -> None:
    """The owner says that no more tasks will come; raises Conflict while some of what was begun are not there."""
    plan = own_plan(records, event.key, act)
    if plan.complete:
        raise Conflict(f"the plan {plan.key} has all its tasks already")
    assert plan.growth is not None
    if plan.rounds_closed < max(1, plan.rounds_added):
        raise Conflict(f"the plan {plan.key} has a round that is open")
    if plan.growth.metrics and records.get(Task, task_key(plan.key, plan.rounds_closed, "finish")) is None:
        raise Conflict(f"the plan {plan.key} does not measure what comes out of it")
    settle(records, act, replace(plan, complete=True))


def round_closed(records: Draft, act: Act, event: RoundClosed) -> None:
    """The task that gathers takes the parts that are included, and no other; without any it fails.

    Parts that have not begun are cancelled. Who closes a round cannot know whether they have not, so it is no event
    of its own, which might be refused.
    """
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
    check_least([(part.worker, part.outputs[output].aggregate) for part in parts])
    _check_masked(records, task, {part.key: part.outputs[output].aggregate for part in parts})
    records.put(_measured(plan, task) if stage == "evaluate" else _trained(records, plan, task, parts))
    for each in records.find(Task, "optional_in", plan.key):
        if (each.round, each.stage) == (task.round, stage) and each.status in WAITING:
            move(records, act, each, "STATUS_CANCELED")
    others = tuple(each for each in task.inputs if each.identifier != given)
    for part in parts:
        took(records, part.key, task)
    if task.status not in ENDED:
        for key in dict.fromkeys(each.parent for each in task.inputs if each.identifier == given):
            if key not in event.included:
                let_go(records, key)
    task = replace(task, gathers=False, inputs=(*others, *taken))
    task = replace(task, rank=1 + max((part.rank for part in parts), default=task.rank - 1))
    if not parts:
        if task.status not in ENDED:
            move(records, act, replace(task, error="EXECUTION_ERROR"), "STATUS_FAILED")
        return
    task = replace(task, waiting=waits(records, task))
    records.put(task)
    function_changed(records, act, task)


def _check_masked(records: Draft, task: Task, parts: Mapping[str, Aggregate | None]) -> None:
    """Raise unless masked parts, by their tasks' keys, are those whose sum came out."""
    summed = records.get(MaskedSum, task.key)
    masked = summed is not None or any(each is not None and each.protocol == "SA-1" for each in parts.values())
    if not (masked and parts):
        return
    if summed is None or summed.status != "closed" or set(summed.included) != parts.keys():
        raise Conflict(f"round {task.round} takes the parts that are in its masked sum, once that has come out")


def _measured(plan: Plan, task: Task) -> Plan:
    return replace(plan, measuring=tuple(each for each in plan.measuring if each != task.round))


def _trained(records: Draft, plan: Plan, task: Task, parts: list[Task]) -> Plan:
    """Whose memory goes on, and who was not there; memories of parts that are not included become transient."""
    included = {part.worker: part.key for part in parts}
    absent = set[str]()
    for key in (each.parent for each in task.inputs if each.parent):
        local = need(records, Task, key)
        if local.stage == "local" and local.worker not in included and _last(records, plan, local).status not in ENDED:
            absent.add(local.worker)
        if local.stage == "local" and key not in included.values():
            made_transient(records, key, "memory")
    return replace(
        plan,
        rounds_closed=task.round,
        memories={**plan.memories, **included},
        superseded=(*plan.superseded, *(plan.memories[site] for site in included if site in plan.memories)),
        absent=tuple(sorted(absent)),
    )


def _last(records: Draft, plan: Plan, part: Task) -> Task:
    """The last attempt of the site at its part."""
    found = [records.get(Task, key) for key in attempts(plan, part.round, part.worker)]
    return next((each for each in reversed(found) if each is not None), part)
