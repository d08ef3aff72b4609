"""What plans have measured, as lines: one for each organization, and one for all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Literal, TypeAlias

from comity.domain.records import Performance, Plan, Task, need
from comity.faces.web.drawing.lines import COLOURS, Series
from comity.node.rest.plans import round_of
from comity.node.rest.render import View

Axis: TypeAlias = Literal["round", "rank"]

POOLED = "all sites"
"""The name of what was summed over all sites."""


def axis_of(view: View, plans: Sequence[Plan], asked: str) -> Axis:
    """As it was asked for; otherwise rounds where every plan's tasks have some."""
    if asked in ("round", "rank"):
        return "rank" if asked == "rank" else "round"
    with_rounds = all(plan.growth is not None or _has_rounds(view, plan) for plan in plans)
    return "round" if with_rounds else "rank"


def curves(
    view: View, plans: Sequence[Plan], *, axis: Axis, names: Mapping[str, str] | None = None
) -> dict[str, list[Series]]:
    """By metric the lines of the plans. With `names` of the plans, these stand before those of organizations, and each
    plan has a colour; otherwise each organization has."""
    found: dict[str, dict[tuple[int, str], list[tuple[int, float, str]]]] = {}
    for number, plan in enumerate(plans):
        for task, each in _measured(view, plan):
            at = _place(view, task, axis)
            if at is not None:
                line = POOLED if task.stage == "finish" else task.worker
                found.setdefault(each.output, {}).setdefault((number, line), []).append(
                    (at, float(each.value), f"/tasks/{task.key}")
                )
    sites = sorted({line for lines in found.values() for _, line in lines if line != POOLED})
    return {
        metric: [
            Series(
                name=f"{names[plans[number].key]}: {line}" if names else line,
                points=points,
                group=names[plans[number].key] if names else "",
                look=f"s{number % COLOURS}" + ("" if line == POOLED else " thin") if names else _look(line, sites),
            )
            for (number, line), points in sorted(
                lines.items(), key=lambda each: (each[0][0], each[0][1] != POOLED, each[0][1])
            )
        ]
        for metric, lines in sorted(found.items())
    }


def _look(line: str, sites: Sequence[str]) -> str:
    return "pooled" if line == POOLED else f"s{sites.index(line) % COLOURS}"


def _measured(view: View, plan: Plan) -> list[tuple[Task, Performance]]:
    every = [each for each in view.records.find(Performance, "plan", plan.key) if isfinite(float(each.value))]
    found = [(need(view.records, Task, each.task), each) for each in every]
    # That a step says it is finished is for the conductor, and no measurement.
    kept = [(task, each) for task, each in found if task.stage != "step"]
    view.learn(task for task, _ in kept if not task.stage)
    return kept


def _place(view: View, task: Task, axis: Axis) -> int | None:
    if axis == "rank":
        return task.rank
    named = round_of(view, task)
    return None if named is None else int(named)


def _has_rounds(view: View, plan: Plan) -> bool:
    return any(round_of(view, task) is not None for task, _ in _measured(view, plan))
