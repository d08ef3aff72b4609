"""Compute plans, the moves of their tasks from status to status, and the counts that a plan's status follows from."""

from __future__ import annotations

from msgspec.structs import replace

from comity.domain.events import PlanCancelled, PlanRegistered
from comity.domain.membership import Act
from comity.domain.records import Draft, Plan, Task, need
from comity.domain.states import ENDED, OVER, TASK, TaskStatus, plan_status
from comity.values.errors import Conflict, Forbidden, InvalidInput


def plan_registered(records: Draft, act: Act, event: PlanRegistered) -> None:
    """A plan of the author's."""
    if records.get(Plan, event.key) is not None:
        raise Conflict(f"there is a plan {event.key} already")
    records.put(
        Plan(
            key=event.key,
            owner=act.author,
            name=event.name,
            tag_text=event.tag_text,
            metadata=event.metadata,
            creator=event.creator,
            created_at=act.at,
        )
    )


def plan_cancelled(records: Draft, act: Act, event: PlanCancelled) -> None:
    """The owner ends the plan; every task that has not ended is cancelled with it."""
    plan = own_plan(records, event.key, act)
    status = plan_status(plan.counts, cancelled=bool(plan.cancelled_at))
    if status in ("PLAN_STATUS_CANCELED", "PLAN_STATUS_FAILED"):
        raise InvalidInput(f"OE0109: the plan {event.key} is {status} already")
    cancel(records, act, plan)


def cancel(records: Draft, act: Act, plan: Plan) -> None:
    """End a plan and its open tasks."""
    records.put(replace(plan, cancelled_at=act.at, ended_at=act.at))
    for task in _open(records, plan):
        # Optional tasks may have ended with the first of the required.
        if need(records, Task, task.key).status not in ENDED:
            move(records, act, task, "STATUS_CANCELED")


def own_plan(records: Draft, key: str, act: Act) -> Plan:
    """The plan; raises Forbidden for one of another's."""
    plan = need(records, Plan, key)
    if plan.owner != act.author:
        raise Forbidden(f"OE0102: the plan {key} belongs to {plan.owner}; {act.author} may not change it")
    return plan


def move(records: Draft, act: Act, task: Task, to: TaskStatus) -> None:
    """Give a task another status, and keep its plan's counts; raises Conflict where the table has no such step."""
    if to not in TASK[task.status]:
        raise Conflict(f"OE0104: task {task.key} is {task.status} and cannot become {to}")
    records.put(replace(task, status=to, ended_at=act.at if to in ENDED else 0))
    count(records, act, task, task.status, to)


def count(records: Draft, act: Act, task: Task, before: TaskStatus | None, after: TaskStatus) -> None:
    """Keep the counts of the task's plan; a plan that ends takes its open optional tasks with it."""
    if before == after:
        return
    plan = need(records, Plan, task.plan)
    if not task.required:
        opened = (before is None) - (after in ENDED)
        if opened:
            records.put(replace(plan, optional=plan.optional + opened))
        return
    counts = dict(plan.counts)
    if before is not None:
        counts[before] -= 1
        if not counts[before]:
            del counts[before]
    counts[after] = counts.get(after, 0) + 1
    status = plan_status(counts, cancelled=bool(plan.cancelled_at))
    plan = replace(
        plan,
        counts=counts,
        started_at=plan.started_at or (act.at if status != "PLAN_STATUS_CREATED" else 0),
        ended_at=(plan.ended_at or act.at) if status in OVER else 0,
        failed_task=plan.failed_task or (task.key if after == "STATUS_FAILED" else ""),
    )
    records.put(plan)
    if plan.optional and status in OVER:
        for each in _open(records, plan):
            if not each.required:
                move(records, act, each, "STATUS_CANCELED")


def _open(records: Draft, plan: Plan) -> list[Task]:
    return [task for task in records.find(Task, "plan", plan.key) if task.status not in ENDED]
