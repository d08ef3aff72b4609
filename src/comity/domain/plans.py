"""Compute plans, the moves of their tasks from status to status, and the counts that a plan's status follows from."""

from __future__ import annotations

from msgspec.structs import replace

from comity.domain.events import PlanCancelled, PlanRegistered
from comity.domain.membership import Act
from comity.domain.records import Draft, MaskedSum, Plan, Task, need
from comity.domain.releasing import ended
from comity.domain.states import ENDED, OVER, TASK, WAITING, PlanStatus, TaskStatus, plan_status
from comity.values.errors import Conflict, Forbidden, InvalidInput


def plan_registered(records: Draft, act: Act, event: PlanRegistered) -> None:
    """A plan of the author's."""
    if records.get(Plan, event.key) is not None:
        raise Conflict(f"there is a plan {event.key} already")
    done = event.growth.after if event.growth else 0
    records.put(
        Plan(
            key=event.key,
            owner=act.author,
            name=event.name,
            tag_text=event.tag_text,
            metadata=event.metadata,
            creator=event.creator,
            created_at=act.at,
            growth=event.growth,
            complete=event.growth is None,
            rounds_closed=done,
            rounds_added=done,
            grows_at=act.author if event.growth else "",
        )
    )


def plan_cancelled(records: Draft, act: Act, event: PlanCancelled) -> None:
    """The owner ends the plan; every task that has not ended is cancelled with it."""
    plan = own_plan(records, event.key, act)
    status = status_of(plan)
    if status in ("PLAN_STATUS_CANCELED", "PLAN_STATUS_FAILED"):
        raise InvalidInput(f"OE0109: the plan {event.key} is {status} already")
    cancel(records, act, plan)


def status_of(plan: Plan) -> PlanStatus:
    """The status of a plan; one that still grows is not done."""
    status = plan_status(plan.counts, cancelled=bool(plan.cancelled_at))
    return "PLAN_STATUS_DOING" if status == "PLAN_STATUS_DONE" and not plan.complete else status


def cancel(records: Draft, act: Act, plan: Plan) -> None:
    """End a plan and its open tasks."""
    records.put(replace(plan, cancelled_at=act.at, ended_at=act.at, grows_at=""))
    for each in records.find(Task, "plan", plan.key):
        # Optional tasks may have ended with the first of the required.
        task = need(records, Task, each.key)
        if task.status not in ENDED:
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
    records.put(placed(task, to, act.at))
    if to in ENDED:
        ended(records, task)
        _abandon(records, act, task)
    count(records, act, task, task.status, to)


def _abandon(records: Draft, act: Act, task: Task) -> None:
    """A masked sum whose task has ended is nobody's concern any more."""
    if task.stage in ("sum", "scores"):
        summed = records.get(MaskedSum, task.key)
        if summed is not None and summed.status == "open":
            records.put(replace(summed, status="closed", ended_at=act.at))


def placed(task: Task, status: TaskStatus, at: int) -> Task:
    """The task in this status since then, with all that follows from it."""
    over = status in ENDED
    return replace(
        task,
        status=status,
        ended_at=at if over else 0,
        waits_on=task.function if status in WAITING else "",
        optional_in="" if over or task.required else task.plan,
    )


def count(records: Draft, act: Act, task: Task, before: TaskStatus | None, after: TaskStatus) -> None:
    """Keep the counts of the task's plan."""
    if not task.required:
        return
    plan = need(records, Plan, task.plan)
    counts = dict(plan.counts)
    if before is not None:
        counts[before] -= 1
        if not counts[before]:
            del counts[before]
    counts[after] = counts.get(after, 0) + 1
    begun = plan_status(counts, cancelled=bool(plan.cancelled_at)) != "PLAN_STATUS_CREATED"
    started = plan.started_at or (act.at if begun else 0)
    failed = plan.failed_task or (task.key if after == "STATUS_FAILED" else "")
    settle(records, act, replace(plan, counts=counts, started_at=started, failed_task=failed))


def settle(records: Draft, act: Act, plan: Plan) -> None:
    """Keep a plan as it has become; one that has ended takes its open optional tasks with it."""
    over = status_of(plan) in OVER
    ended_at, grows_at = ((plan.ended_at or act.at), "") if over else (0, plan.owner if plan.growth else "")
    records.put(replace(plan, ended_at=ended_at, grows_at=grows_at))
    if over:
        for each in records.find(Task, "optional_in", plan.key):
            move(records, act, each, "STATUS_CANCELED")
