"""Lists as files for spreadsheets: all rows that a page's filters leave, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from starlette.responses import Response

from comity.faces.web.headers import UNKEPT
from comity.faces.web.visit import Endpoint, Visit
from comity.node.rest.filters import DATASETS, FUNCTIONS, PLANS, TASKS
from comity.node.rest.measured import line
from comity.node.rest.pages import MOST, Listing, listed

Columns: TypeAlias = Mapping[str, Callable[[Any], Any]]


def sheet(name: str, columns: Columns, rows: Iterable[Any]) -> Response:
    """A file of these rows."""
    body = line(list(columns)) + "".join(line([write(each) for write in columns.values()]) for each in rows)
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "x-content-type-options": "nosniff"}
    return Response(body, headers={**headers, **UNKEPT}, media_type="text/csv; charset=utf-8")


def fields(*names: str) -> Columns:
    """Columns that are called as the fields of rows."""
    return {name: lambda row, name=name: row[name] for name in names}


async def found(visit: Visit, listing: Listing[Any], asked: Mapping[str, str]) -> list[Any]:
    """All rows of a list of the API, whatever page is asked for."""
    given = {**asked, "page": "1", "page_size": str(MOST)}
    _, rows = await visit.call.read(lambda view: listed(view, listing, given))
    return rows


def _table(name: str, listing: Listing[Any], columns: Columns) -> Endpoint:
    async def give(visit: Visit) -> Response:
        return sheet(name, columns, await found(visit, listing, visit.query))

    return give


async def plans(visit: Visit, asked: Mapping[str, str]) -> Response:
    """Compute plans, asked for by the API's parameters."""
    columns = {
        **fields("key", "name", "status", "owner", "creator", "tag", "creation_date", "start_date", "end_date"),
        **fields("duration", "task_count", "done_count", "failed_count", "canceled_count"),
        "metadata": lambda row: "; ".join(f"{name}: {value}" for name, value in row["metadata"].items()),
    }
    return sheet("plans", columns, await found(visit, PLANS, asked))


tasks = _table(
    "tasks",
    TASKS,
    {
        **fields("key", "compute_plan_key", "status", "worker", "owner", "rank", "stage", "round"),
        "function": lambda row: row["function"]["name"],
        **fields("tag", "creation_date", "start_date", "end_date", "duration", "error_type"),
    },
)
datasets = _table(
    "datasets",
    DATASETS,
    {
        **fields("key", "name", "owner", "creation_date", "withdrawn_date"),
        "samples": lambda row: len(row["data_sample_keys"]),
    },
)
functions = _table("functions", FUNCTIONS, fields("key", "name", "owner", "status", "creation_date"))
