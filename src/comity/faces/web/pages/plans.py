"""The list of compute plans."""

from __future__ import annotations

from fastapi import Response

from comity.faces.web.pages import lists
from comity.faces.web.visit import Visit, to
from comity.node.rest.filters import PLANS

STATUSES = (
    "PLAN_STATUS_CREATED",
    "PLAN_STATUS_DOING",
    "PLAN_STATUS_DONE",
    "PLAN_STATUS_FAILED",
    "PLAN_STATUS_CANCELED",
)


async def home(visit: Visit) -> Response:
    """Where one begins."""
    return to("/compute_plans")


async def listed(visit: Visit) -> Response:
    """A page of the plans that are asked for."""
    asked = visit.query
    return await visit.show(
        "plans.html",
        lambda view: {"table": lists.table(view, PLANS, "/compute_plans", asked), "statuses": STATUSES},
    )
