"""Whom an entry concerns: the organizations that have something to do because of it.

They are told at once. To the others, which only keep what it says, it comes along with what comes next, or a moment
later: every answer costs a node, and the hub, some milliseconds of a processor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from comity.adapters.sql.log import Log
from comity.domain.entry import Entry, read_statement
from comity.domain.events import OutputsReleased, RoundClosed, TaskAdded, TaskDone, TaskStarted
from comity.domain.records import Plan, Task, need


def concerned(log: Log, entry: Entry) -> frozenset[str] | None:
    """The organizations that an entry concerns, which has just got its place; None for all of them."""
    statement = read_statement(entry.statement)
    found = {statement.author}
    for event in statement.events:
        if (who := _WHO.get(type(event))) is None:
            return None
        found |= who(log, event)
    return frozenset(found)


def _added(log: Log, event: TaskAdded) -> set[str]:
    return set() if need(log.records, Task, event.key).status == "STATUS_WAITING_FOR_PARENT_TASKS" else {event.worker}


def _closed(log: Log, event: RoundClosed) -> set[str]:
    return {need(log.records, Task, event.task).worker}


def _started(log: Log, event: TaskStarted) -> set[str]:
    return {need(log.records, Plan, need(log.records, Task, event.key).plan).owner}


def _done(log: Log, event: TaskDone) -> set[str]:
    owner = need(log.records, Plan, need(log.records, Task, event.key).plan).owner
    return {owner, *(child.worker for child in log.children(event.key))}


def _released(_: Log, __: OutputsReleased) -> set[str]:
    return set()


_WHO: Mapping[type, Callable[[Log, Any], set[str]]] = {
    TaskAdded: _added,
    RoundClosed: _closed,
    TaskStarted: _started,
    TaskDone: _done,
    OutputsReleased: _released,
}
"""Of these events; any other concerns all."""
