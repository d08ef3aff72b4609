"""Search by name or key across everything in the channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.domain.records import Dataset, Function, Model, Plan, Record, Task
from comity.faces.web.visit import Visit, to
from comity.node.rest.filters import DATASETS, FUNCTIONS, PLANS
from comity.node.rest.pages import Listing, Page, matching
from comity.node.rest.render import View

SHOWN = 10
"""Of each kind."""

PATHS: Mapping[type[Record], str] = {
    Plan: "/compute_plans",
    Task: "/tasks",
    Dataset: "/datasets",
    Function: "/functions",
}


async def show(visit: Visit) -> Response:
    """What is called so; one whole key leads to what has it."""
    wanted = visit.query.get("q", "").strip()
    exact = await visit.call.read(lambda view: _exact(view, wanted)) if wanted else ""
    if exact:
        return to(exact)

    def work(view: View) -> Mapping[str, Any]:
        groups = [
            ("Compute plans", "/compute_plans", *_named(view, PLANS, wanted)),
            ("Datasets", "/datasets", *_named(view, DATASETS, wanted)),
            ("Functions", "/functions", *_named(view, FUNCTIONS, wanted)),
            ("Tasks", "/tasks", *_tasks(view, wanted)),
        ]
        return {"q": wanted, "groups": [each for each in groups if each[2]] if wanted else []}

    return await visit.show("search.html", work)


def _exact(view: View, key: str) -> str:
    for kind, path in PATHS.items():
        if view.records.get(kind, key) is not None:
            return f"{path}/{key}"
    model = view.records.get(Model, key)
    return f"/tasks/{model.task}" if model else ""


def _named(view: View, listing: Listing[Any], wanted: str) -> tuple[int, list[tuple[str, str, str]]]:
    count, found = matching(view, listing, {"match": wanted}, Page(1, SHOWN))
    return count, [
        (each.key, view.function_name(each) if isinstance(each, Function) else view.text(each.name), each.owner)
        for each in found
    ]


def _tasks(view: View, wanted: str) -> tuple[int, list[tuple[str, str, str]]]:
    """Tasks whose keys begin so: of many tasks it is the index that finds them."""
    found = view.records.beginning(Task, wanted, limit=SHOWN) if len(wanted) >= 4 else []
    return len(found), [(each.key, each.stage or "task", each.worker) for each in found]
