"""Which tasks of an organization's are begun next: fair between plans, and none twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import Connection, Select, bindparam, select

from comity.adapters.sql import schema as log_schema
from comity.adapters.sql.log import Log
from comity.domain.events import OutputMade
from comity.domain.plans import status_of
from comity.domain.records import Plan, Task, need
from comity.domain.states import ENDED, OVER
from comity.node import schema

AHEAD = 16
"""Tasks that are prepared, run or committed for every one that can run."""

ELSEWHERE = 8
"""Tasks of one plan that may wait, beside those, for other nodes to send what they need or to take what they made."""

LOST, READY = "STATUS_EXECUTING", "STATUS_WAITING_FOR_EXECUTOR_SLOT"

_TASKS = log_schema.records[Task]

_SCHEDULED = (
    (_TASKS.c.channel == bindparam("channel"))
    & (_TASKS.c.worker == bindparam("worker"))
    & (_TASKS.c.status == bindparam("status"))
)

_PLANS = select(_TASKS.c.plan).where(_SCHEDULED).distinct()

_BEGIN = (
    select(_TASKS.c.key)
    .where(_SCHEDULED, _TASKS.c.plan == bindparam("plan"))
    .where(_TASKS.c.key.not_in(bindparam("under_way", expanding=True)))
    .where(
        ~select(schema.commits.c.task)
        .where(schema.commits.c.channel == bindparam("channel"), schema.commits.c.task == _TASKS.c.key)
        .exists()
    )
    .order_by(_TASKS.c.rank, _TASKS.c.created_at, _TASKS.c.key)
    .limit(bindparam("most"))
)

_COMMIT = select(schema.commits.c.task).where(
    schema.commits.c.channel == bindparam("channel"), schema.commits.c.task == bindparam("task")
)

_CANCELLED = select(_TASKS.c.key).where(
    _TASKS.c.channel == bindparam("channel"),
    _TASKS.c.key.in_(bindparam("keys", expanding=True)),
    _TASKS.c.status == "STATUS_CANCELED",
)


@final
@dataclass
class Attempt:
    """A task under way."""

    plan: str
    work: asyncio.Task[None]
    busy: bool = True
    """Whether it takes up room here: not while it waits for other nodes."""
    waited: float = 0.0
    """Seconds that it has waited for them."""
    committed: bool = False


@final
@dataclass(frozen=True)
class Ready:
    """What a look at the records has found."""

    tasks: Sequence[Task]
    """To begin now."""
    cancelled: Sequence[str]
    """Of those under way."""
    more: bool
    """Whether there may be others, which have no room."""


def look(log: Log, organization: str, under_way: Mapping[str, Attempt], *, size: int) -> Ready:
    """What to do now, where `size` can run: one task more for each plan in turn, those with the fewest under way first.

    Of an experiment's, what the next round waits for goes before what is only measured.
    """
    gone = _column(log, _CANCELLED, {"channel": log.channel, "keys": list(under_way)}) if under_way else ()
    running = list(under_way.values())
    busy = Counter(each.plan for each in running if each.busy)
    elsewhere = Counter(each.plan for each in running if not each.busy)
    room = max(0, size * AHEAD - busy.total())
    here = {"channel": log.channel, "worker": organization}
    # One status at a time: so both databases walk one index, in its order, from what is wanted first.
    plans = {key for status in (LOST, READY) for key in _column(log, _PLANS, {**here, "status": status})}
    found: list[tuple[int, Task]] = []
    more = False
    for key in sorted(plans):
        # One of each plan has room always: the others may take long.
        most = min(max(room, 1 - busy[key]), ELSEWHERE - elsewhere[key])
        if most <= 0:
            more = True
        if most <= 0 or status_of(need(log.records, Plan, key)) in OVER:
            continue
        wanted = {**here, "plan": key, "under_way": list(under_way), "most": most}
        keys = [each for status in (LOST, READY) for each in _column(log, _BEGIN, {**wanted, "status": status})][:most]
        begun = sorted((need(log.records, Task, each) for each in keys), key=lambda task: task.stage == "evaluate")
        found += [(busy[key] + turn, task) for turn, task in enumerate(begun)]
        more |= len(begun) == most
    found.sort(key=lambda each: each[0])
    first = sum(turn == 0 for turn, _ in found)
    tasks = [task for _, task in found][: max(room, first)]
    return Ready(tasks, gone, more or len(found) > len(tasks))


def consumers(log: Log, task: Task, outputs: Mapping[str, OutputMade]) -> dict[str, list[str]]:
    """The other organizations whose tasks are known to need a task's outputs, by blob."""
    found: dict[str, set[str]] = {}
    for child in log.children(task.key):
        if child.worker != task.worker and child.status not in ENDED:
            for each in child.inputs:
                if each.parent == task.key and (blob := outputs[each.output].blob) and not _masked(task, each.output):
                    found.setdefault(blob, set()).add(child.worker)
    return {blob: sorted(names) for blob, names in found.items()}


def _masked(task: Task, output: str) -> bool:
    """Whether nobody else is given the output, but masked."""
    aggregate = task.outputs[output].aggregate
    return aggregate is not None and aggregate.protocol != "clear"


def committed(connection: Connection, channel: int, task: str) -> bool:
    """Whether it is known what became of a task."""
    return connection.execute(_COMMIT, {"channel": channel, "task": task}).first() is not None


def _column(log: Log, query: Select[Any], given: Mapping[str, Any]) -> Sequence[str]:
    return log.connection.execute(query, given).scalars().all()
