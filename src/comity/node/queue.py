"""Which tasks of an organization's are begun next: fair between plans, and none twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import ColumnElement, Select, select

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

READY = "STATUS_WAITING_FOR_EXECUTOR_SLOT"


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


def ready(log: Log, organization: str, under_way: Mapping[str, Attempt], *, size: int) -> list[Task]:
    """Tasks to begin now, where `size` can run: one more for each plan in turn, those with the fewest under way first.

    Of an experiment's, what the next round waits for goes before what is only measured.
    """
    running = list(under_way.values())
    busy = Counter(each.plan for each in running if each.busy)
    elsewhere = Counter(each.plan for each in running if not each.busy)
    room = size * AHEAD - busy.total()
    if room <= 0:
        return []
    table = log_schema.records[Task]
    mine = (table.c.channel == log.channel) & (table.c.worker == organization)
    # One status at a time: so both databases walk one index, in its order, from what is wanted first.
    lost, waiting = (mine & (table.c.status == each) for each in ("STATUS_EXECUTING", READY))
    plans = {key for each in (lost, waiting) for key in _column(log, select(table.c.plan).where(each).distinct())}
    found: list[tuple[int, Task]] = []
    for key in sorted(plans):
        plan, most = need(log.records, Plan, key), min(room, ELSEWHERE - elsewhere[key])
        if most <= 0 or status_of(plan) in OVER:
            continue
        query = (
            select(table.c.key)
            .where(table.c.plan == key, table.c.key.not_in(list(under_way)))
            .where(~commit_of(log.channel, table.c.key).exists())
            .order_by(table.c.rank, table.c.created_at, table.c.key)
            .limit(most)
        )
        keys = [*_column(log, query.where(lost)), *_column(log, query.where(waiting))][:most]
        tasks = sorted((need(log.records, Task, each) for each in keys), key=lambda task: task.stage == "evaluate")
        found += [(busy[key] + turn, task) for turn, task in enumerate(tasks)]
    found.sort(key=lambda each: each[0])
    return [task for _, task in found][:room]


def cancelled(log: Log, keys: Iterable[str]) -> Sequence[str]:
    """Those of the tasks that were cancelled."""
    table = log_schema.records[Task]
    query = select(table.c.key).where(table.c.channel == log.channel, table.c.key.in_(list(keys)))
    return _column(log, query.where(table.c.status == "STATUS_CANCELED"))


def consumers(log: Log, task: Task, outputs: Mapping[str, OutputMade]) -> dict[str, list[str]]:
    """The other organizations whose tasks are known to need a task's outputs, by blob."""
    found: dict[str, set[str]] = {}
    for child in log.children(task.key):
        if child.worker != task.worker and child.status not in ENDED:
            for each in child.inputs:
                if each.parent == task.key and (blob := outputs[each.output].blob):
                    found.setdefault(blob, set()).add(child.worker)
    return {blob: sorted(names) for blob, names in found.items()}


def commit_of(channel: int, task: ColumnElement[str] | str) -> Select[Any]:
    """The commit of a task, if there is one."""
    table = schema.commits
    return select(table.c.task).where(table.c.channel == channel, table.c.task == task)


def _column(log: Log, query: Select[Any]) -> Sequence[str]:
    return log.connection.execute(query).scalars().all()
