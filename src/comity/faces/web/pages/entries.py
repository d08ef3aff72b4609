"""Entries of the log: those of the channel, and those about a plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.domain.records import Plan
from comity.faces.web.pages.plan import show as show_plan
from comity.faces.web.pages.spreadsheets import fields, sheet
from comity.faces.web.visit import Visit
from comity.node import history
from comity.node.history import Wanted
from comity.node.rest.log import checkpoint as checkpoint_of
from comity.node.rest.log import entry_of, leaves
from comity.node.rest.organizations import members
from comity.node.rest.render import View
from comity.values.errors import NotFound
from comity.values.keys import to_base64

SHOWN, EVENTS = 12, 5
"""Entries on a page, and events of each that are told in full."""

LINES = 1000
"""Entries of a file."""

PLAIN = {"x-content-type-options": "nosniff"}

KINDS = (
    "function_approved",
    "function_refused",
    "dataset_registered",
    "dataset_withdrawn",
    "function_registered",
    "function_ready",
    "plan_registered",
    "plan_cancelled",
    "round_closed",
    "task_added",
    "task_started",
    "task_done",
    "task_failed",
    "organization_admitted",
    "organization_removed",
    "redacted",
)
"""Events that are often looked for."""


async def listed(visit: Visit) -> Response:
    """The log, the latest first."""
    asked = visit.query
    following = visit.call.part.following

    def work(view: View) -> Mapping[str, Any]:
        found = history.checkpoint(view.log)
        return {
            **_found(view, asked, "/entries"),
            "organizations": [each["id"] for each in members(view)],
            "kinds": KINDS,
            "checkpoint": found,
            "verified": int(found.split("\n")[1]) if found.count("\n") > 2 else 0,
            "broken": following.broken,
            "connected": following.connected,
            "trouble": following.trouble,
        }

    return await visit.show("entries.html", work)


async def of_plan(visit: Visit) -> Response:
    """Entries that name a plan's key."""
    asked = visit.query

    def found(view: View, plan: Plan) -> Mapping[str, Any]:
        return _found(view, {**asked, "about": plan.key}, f"/compute_plans/{plan.key}/entries")

    return await show_plan(visit, "plan_entries.html", found)


async def download_checkpoint(visit: Visit) -> Response:
    """The hub's signed note, as the API gives it."""
    made = await checkpoint_of(visit.call)
    made.headers.update({"content-disposition": 'attachment; filename="checkpoint.json"', **PLAIN})
    return made


async def download_leaves(visit: Visit) -> Response:
    """Leaves as they stand in the log, for those who check them."""
    made = await leaves(visit.call)
    made.headers.update({"content-disposition": 'attachment; filename="leaves.json"', **PLAIN})
    return made


async def listed_sheet(visit: Visit) -> Response:
    """The latest entries that are asked for, as a file."""
    wanted, before = _asked(visit.query)

    def work(view: View) -> list[Mapping[str, Any]]:
        found = history.entries(view.log, wanted, before=before, limit=LINES)
        return [{**entry_of(view, each, EVENTS), "size": len(each.statement.events)} for each in found.entries]

    columns = {
        **fields("place", "date", "author", "digest"),
        "events": lambda row: " ".join(each["type"] for each in row["events"]),
        "of": lambda row: row["size"],
    }
    return sheet("entries", columns, await visit.call.read(work))


async def download_proof(visit: Visit) -> Response:
    """That an entry stands in the log of which the checkpoint is: its leaf, and the hashes beside it (RFC 6962)."""
    given = visit.call.key
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise NotFound(f"an entry is known by its place, a whole number, and not by {given[:40]!r}")

    def work(view: View) -> bytes:
        place, note = int(given), history.checkpoint(view.log)
        size = int(note.split("\n")[1]) if note.count("\n") > 2 else 0
        if not place < size:
            raise NotFound(f"there is no entry {place} below the last checkpoint, which is of {size}")
        leaf = view.log.deliveries(place, 1)[0].leaf
        path = [to_base64(each) for each in view.log.tree.inclusion(place, size)]
        shown = {"index": place, "size": size, "leaf": to_base64(bytes(leaf)), "path": path, "checkpoint": note}
        return json.dumps(shown, indent=1).encode()

    headers = {"content-disposition": f'attachment; filename="proof-{given}.json"', **PLAIN}
    return Response(await visit.call.read(work), headers=headers, media_type="application/json")


def _asked(asked: Mapping[str, str]) -> tuple[Wanted, int]:
    """What is looked for, and before which place."""
    given = asked.get("before", "")
    before = int(given) if given.isascii() and given.isdigit() and len(given) < 16 else 2**53
    return Wanted(author=asked.get("author", ""), kind=asked.get("type", ""), about=asked.get("about", "")), before


def _found(view: View, asked: Mapping[str, str], path: str) -> Mapping[str, Any]:
    wanted, before = _asked(asked)
    found = history.entries(view.log, wanted, before=before, limit=SHOWN)
    results = [(entry_of(view, each, EVENTS), len(each.statement.events)) for each in found.entries]
    return {
        "entries": results,
        "events": EVENTS,
        "before": found.before,
        "size": view.log.size,
        "asked": asked,
        "path": path,
    }
