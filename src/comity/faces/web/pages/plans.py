"""The list of compute plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from comity.faces.web.tables import Table
from comity.faces.web.visit import Visit, to
from comity.node.rest.filters import PLANS
from comity.node.rest.pages import listed as found
from comity.node.rest.pages import page_of
from comity.node.rest.render import View

SIZE = 30

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

    def work(view: View) -> Mapping[str, Any]:
        page = page_of(asked, SIZE)
        count, rows = found(view, PLANS, {**asked, "page": str(page.number), "page_size": str(page.size)})
        table = Table("/compute_plans", asked, page, count, rows)
        return {"table": table, "statuses": STATUSES}

    return await visit.show("plans.html", work)
