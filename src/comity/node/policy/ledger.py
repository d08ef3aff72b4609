"""The ledgers of this organization's datasets, in its database: lines are added within the caller's transaction."""

from __future__ import annotations

import math

import msgspec
from sqlalchemy import Connection, func, insert, select

from comity.domain.policy import Budget
from comity.node import schema
from comity.privacy.budget import Does, Line, Spent, next_line, spent
from comity.values.digest import Digest

_LINES = msgspec.json.Decoder(Line)


def lines(connection: Connection, channel: int, dataset: str) -> list[Line]:
    """All lines of a dataset, in their order."""
    table = schema.spending
    here = (table.c.channel == channel) & (table.c.dataset == dataset)
    query = select(table.c.line).where(here).order_by(table.c.number)
    return [_LINES.decode(line) for line in connection.execute(query).scalars()]


def add(connection: Connection, channel: int, line: Line, budget: Budget | None) -> Digest:
    """Add a line unless its run has done that already; the ledger's root then.

    budget: None where the dataset has none for the line's unit. Raises Forbidden for what would overspend it, and by
    how much.
    """
    before = spent(lines(connection, channel, line.dataset), line.unit)
    epsilon, delta = (math.inf, math.inf) if budget is None else (budget.epsilon, budget.delta)
    made = next_line(before, line, epsilon=epsilon, delta=delta)
    if made is None:
        return before.root
    table = schema.spending
    here = (table.c.channel == channel) & (table.c.dataset == line.dataset)
    number = 1 + (connection.execute(select(func.max(table.c.number)).where(here)).scalar() or 0)
    row = {
        "channel": channel,
        "dataset": line.dataset,
        "number": number,
        "run": line.run,
        "line": msgspec.json.encode(made),
    }
    connection.execute(insert(table).values(**row))
    return made.digest


def datasets_of(connection: Connection, channel: int, run: str) -> list[str]:
    """The datasets on which a run has lines."""
    table = schema.spending
    here = (table.c.channel == channel) & (table.c.run == run)
    return list(connection.execute(select(table.c.dataset).where(here).distinct().order_by(table.c.dataset)).scalars())


def follow(connection: Connection, channel: int, *, run: str, dataset: str, does: Does, at: int) -> Digest | None:
    """Charge or release what a run has reserved on a dataset; the root then, or None where it has reserved nothing."""
    before, root = spent(lines(connection, channel, dataset)), None
    for unit in ("record", "site"):
        last = before.last.get((run, unit))
        if last is None or (does == "release" and last.does != "reserve"):
            continue
        root = add(connection, channel, msgspec.structs.replace(last, does=does, at=at), None)
    return root


def reserved(connection: Connection, channel: int) -> list[tuple[str, str]]:
    """(dataset, run) of what is reserved and neither charged nor released."""
    table = schema.spending
    datasets = connection.execute(select(table.c.dataset).where(table.c.channel == channel).distinct()).scalars().all()
    found: list[tuple[str, str]] = []
    for dataset in datasets:
        held: Spent = spent(lines(connection, channel, dataset))
        found += [(dataset, run) for (run, _), line in held.last.items() if line.does == "reserve"]
    return found
