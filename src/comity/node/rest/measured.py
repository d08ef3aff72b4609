"""What the plans of a channel have measured, as a list and as a table for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from math import isfinite
from typing import Any, TypedDict

from starlette.responses import Response, StreamingResponse

from comity.domain.plans import status_of
from comity.domain.records import Performance, Plan, Task, need
from comity.domain.states import PlanStatus
from comity.node.rest.call import Call
from comity.node.rest.dates import date
from comity.node.rest.filters import PLANS
from comity.node.rest.pages import check, matching, page_of
from comity.node.rest.plans import round_of
from comity.node.rest.render import View

COLUMNS = "metadata_columns"
"""The parameter that names keys of plans' metadata, with commas between them: each is a column."""

EXPORT: Mapping[str, Any] = {
    **{name: kind for name, kind in PLANS.parameters.items() if name not in ("page", "page_size")},
    COLUMNS: str,
}
"""Parameters of the table: whatever plans are listed by."""

LISTED: Mapping[str, Any] = PLANS.parameters

FORMULA = tuple("=+-@\t\r")
"""With which a cell begins that a spreadsheet computes."""


class Measured(TypedDict):
    """One performance, and the plan and task that it is of."""

    compute_plan_key: str
    compute_plan_name: str
    compute_plan_tag: str
    compute_plan_status: PlanStatus
    compute_plan_start_date: str | None
    compute_plan_end_date: str | None
    compute_plan_metadata: dict[str, str]
    identifier: str
    worker: str
    task_rank: int
    task_round: int | None
    performance: float


async def listed(call: Call) -> Response:
    """A page of what the plans that are asked for have measured, 1,000 unless asked otherwise."""
    given = call.parameters
    check(given, LISTED)
    page = page_of(given, 1000)

    def work(view: View) -> list[Measured]:
        return [each for plan in _plans(view, given) for each in _measured(view, plan)]

    every = await call.read(work)
    return call.paged(page, len(every), every[page.start : page.start + page.size])


async def export(call: Call) -> Response:
    """The same as a file, sent plan by plan as it is read."""
    given = call.parameters
    check(given, EXPORT)
    columns = [each for each in given.get(COLUMNS, "").split(",") if each]
    keys = await call.read(lambda view: [plan.key for plan in _plans(view, given)])

    async def lines() -> AsyncIterator[str]:
        yield line([*_BEFORE, *columns, *_AFTER])
        for key in keys:
            rows = await call.read(lambda view, key=key: _measured(view, need(view.records, Plan, key)))
            yield "".join(line(_cells(each, columns)) for each in rows)

    headers = {"content-disposition": 'attachment; filename="compute_plans.csv"', "x-content-type-options": "nosniff"}
    return StreamingResponse(lines(), headers=headers, media_type="text/csv; charset=utf-8")


_BEFORE = (
    "compute_plan_key",
    "compute_plan_name",
    "compute_plan_tag",
    "compute_plan_status",
    "compute_plan_start_date",
    "compute_plan_end_date",
)
_AFTER = ("identifier", "worker", "task_rank", "task_round", "performance")


def _plans(view: View, given: Mapping[str, str]) -> list[Plan]:
    return matching(view, PLANS, {name: value for name, value in given.items() if name != COLUMNS})[1]


def _measured(view: View, plan: Plan) -> list[Measured]:
    # What is no number is left out, as where a plan's performances are shown.
    every = [each for each in view.records.find(Performance, "plan", plan.key) if isfinite(float(each.value))]
    found = [(need(view.records, Task, each.task), each) for each in every]
    view.learn([plan, *(task for task, _ in found)])
    made = [_one(view, plan, task, each) for task, each in found]
    return sorted(made, key=lambda each: (each["task_rank"], each["task_round"] or 0, each["worker"]))


def _one(view: View, plan: Plan, task: Task, each: Performance) -> Measured:
    named = round_of(view, task)
    return {
        "compute_plan_key": plan.key,
        "compute_plan_name": view.text(plan.name),
        "compute_plan_tag": view.text(plan.tag_text),
        "compute_plan_status": status_of(plan),
        "compute_plan_start_date": date(plan.started_at),
        "compute_plan_end_date": date(plan.ended_at),
        "compute_plan_metadata": view.metadata(plan.metadata),
        "identifier": each.output,
        "worker": task.worker,
        "task_rank": task.rank,
        "task_round": None if named is None else int(named),
        "performance": float(each.value),
    }


def _cells(each: Measured, columns: Sequence[str]) -> list[Any]:
    own = [each["compute_plan_metadata"].get(name, "") for name in columns]
    row: Mapping[str, Any] = {**each}
    return [*(row[name] for name in _BEFORE), *own, *(row[name] for name in _AFTER)]


def line(cells: Sequence[Any]) -> str:
    """A line of the file; a text that a spreadsheet would compute begins with an apostrophe."""
    made = io.StringIO()
    safe = [f"'{each}" if isinstance(each, str) and each.startswith(FORMULA) else each for each in cells]
    csv.writer(made).writerow(safe)
    return made.getvalue()
