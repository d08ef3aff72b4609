"""Tasks, as a list of the channel or of one plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.domain.records import Plan
from comity.faces.web.pages import lists
from comity.faces.web.pages.plan import show as show_plan
from comity.faces.web.visit import Visit
from comity.node.rest.filters import TASKS
from comity.node.rest.organizations import members
from comity.node.rest.render import View

STATUSES = (
    "STATUS_WAITING_FOR_BUILDER_SLOT",
    "STATUS_BUILDING",
    "STATUS_WAITING_FOR_PARENT_TASKS",
    "STATUS_WAITING_FOR_EXECUTOR_SLOT",
    "STATUS_EXECUTING",
    "STATUS_DONE",
    "STATUS_FAILED",
    "STATUS_CANCELED",
)


async def listed(visit: Visit) -> Response:
    """Tasks of all plans."""
    asked = visit.query

    def work(view: View) -> Mapping[str, Any]:
        table = lists.table(view, TASKS, "/tasks", asked)
        names = lists.names(view, Plan, {each["compute_plan_key"] for each in table.rows})
        return {**_context(view), "table": table, "plans": names}

    return await visit.show("tasks.html", work)


async def of_plan(visit: Visit) -> Response:
    """Tasks of one plan."""
    asked = visit.query

    def found(view: View, plan: Plan) -> Mapping[str, Any]:
        path = f"/compute_plans/{plan.key}/tasks"
        return {
            **_context(view),
            "table": lists.table(view, TASKS, path, {**asked, "compute_plan_key": plan.key}, asked),
        }

    return await show_plan(visit, "plan_tasks.html", found)


def _context(view: View) -> Mapping[str, Any]:
    return {"statuses": STATUSES, "organizations": [each["id"] for each in members(view)]}
