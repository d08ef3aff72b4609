"""Lists as files for spreadsheets: all rows that a page's filters leave, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from comity.faces.web.headers import UNKEPT
from comity.faces.web.visit import Endpoint, Visit
from comity.node.rest.filters import DATASETS, FUNCTIONS, TASKS
from comity.node.rest.measured import line
from comity.node.rest.pages import MOST, Listing, listed

Columns = Mapping[str, Callable[[Any], Any]]


def _table(name: str, listing: Listing[Any], columns: Columns) -> Endpoint:
    async def give(visit: Visit) -> Response:
        asked = {name: value for name, value in visit.query.items() if name not in ("page", "page_size")}
        given = {**asked, "page_size": str(MOST)}
        _, rows = await visit.call.read(lambda view: listed(view, listing, given))
        body = line(list(columns)) + "".join(line([write(each) for write in columns.values()]) for each in rows)
        headers = {"content-disposition": f'attachment; filename="{name}.csv"', "x-content-type-options": "nosniff"}
        return Response(body, headers={**headers, **UNKEPT}, media_type="text/csv; charset=utf-8")

    return give


def _of(*names: str) -> Columns:
    return {name: lambda row, name=name: row[name] for name in names}


tasks = _table(
    "tasks",
    TASKS,
    {
        **_of("key", "compute_plan_key", "status", "worker", "owner", "rank", "stage", "round"),
        "function": lambda row: row["function"]["name"],
        **_of("tag", "creation_date", "start_date", "end_date", "duration", "error_type"),
    },
)
datasets = _table(
    "datasets",
    DATASETS,
    {
        **_of("key", "name", "owner", "creation_date", "withdrawn_date"),
        "samples": lambda row: len(row["data_sample_keys"]),
    },
)
functions = _table("functions", FUNCTIONS, _of("key", "name", "owner", "status", "creation_date"))
