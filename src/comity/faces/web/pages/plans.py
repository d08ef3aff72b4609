"""The list of compute plans."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from comity.faces.web.pages import lists, spreadsheets
from comity.faces.web.pages.plan import preferences
from comity.faces.web.visit import Visit, to
from comity.node.accounts.preferences import Preferences
from comity.node.rest.filters import PLANS
from comity.node.rest.organizations import members
from comity.node.rest.render import View
from comity.values.errors import InvalidInput

STATUSES = (
    "PLAN_STATUS_CREATED",
    "PLAN_STATUS_DOING",
    "PLAN_STATUS_DONE",
    "PLAN_STATUS_FAILED",
    "PLAN_STATUS_CANCELED",
)

COLUMNS = "compute_plans"
"""Under which the preferences hold the keys of metadata that have columns."""

MOST_COLUMNS = 10


async def listed(visit: Visit) -> Response:
    """A page of the plans that are asked for; `favourites=yes` leaves those of the visitor."""
    kept = await preferences(visit)
    asked = visit.query
    given = _as_the_api(asked, kept)
    whole = {name: value for name, value in given.items() if name not in ("ordering", "page", "page_size")}

    def work(view: View) -> Mapping[str, Any]:
        table = lists.table(view, PLANS, "/compute_plans", given, query=asked)
        return {
            "table": table,
            "measured": urlencode(whole),
            "statuses": STATUSES,
            "organizations": [each["id"] for each in members(view)],
            "favourites": kept.favourites,
            "columns": kept.columns.get(COLUMNS, ()),
            "known": sorted({name for row in table.rows for name in row["metadata"]}),
        }

    return await visit.show("plans.html", work)


async def sheet(visit: Visit) -> Response:
    """All plans that are asked for, as a file."""
    given = _as_the_api(visit.query, await preferences(visit))
    return await spreadsheets.plans(visit, given)


def _as_the_api(asked: Mapping[str, str], kept: Preferences) -> Mapping[str, str]:
    """What is asked for in the API's parameters, which know no favourites, and metadata as JSON."""
    own = ("favourites", "metadata_key", "metadata_value")
    given = {name: value for name, value in asked.items() if name not in own}
    if "favourites" in asked:
        given["key"] = ",".join(kept.favourites) or "none"
    key, value = asked.get("metadata_key", ""), asked.get("metadata_value", "")
    if value and not key:
        raise InvalidInput(f"say which key of metadata contains {value[:40]!r}")
    if key:
        test = {"key": key, "type": "contains" if value else "exists", "value": value}
        given["metadata"] = json.dumps([test])
    return given


async def columns(visit: Visit) -> Response:
    """Keep which keys of metadata the visitor's list has columns of."""
    chosen = [each.strip() for each in visit.field("columns").split(",") if each.strip()]
    if len(chosen) > MOST_COLUMNS or any(len(each) > 100 for each in chosen):
        raise InvalidInput(f"choose at most {MOST_COLUMNS} columns, each of 100 characters at most")
    kept = await preferences(visit)
    changed = Preferences(favourites=kept.favourites, columns={**kept.columns, COLUMNS: tuple(dict.fromkeys(chosen))})
    await asyncio.to_thread(visit.call.api.accounts.keep_preferences, visit.call.principal, changed)
    return to("/compute_plans")
