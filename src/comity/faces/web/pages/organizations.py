"""The organizations of the channel, and what is going on in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.domain.records import Plan
from comity.faces.web.pages import lists
from comity.faces.web.pages.spreadsheets import fields, sheet
from comity.faces.web.tables import Table, arranged
from comity.faces.web.visit import Visit
from comity.node import approving, overview
from comity.node.accounts.roles import Right
from comity.node.rest.dates import date
from comity.node.rest.news_feed import latest
from comity.node.rest.render import View

SHOWN = 8
"""Rows of each list of the overview."""


async def listed(visit: Visit) -> Response:
    """Who is in the channel, and how each node was last seen."""
    seen, asked = await _glance(visit), visit.query

    def work(view: View) -> Mapping[str, Any]:
        found = seen(view)
        rows, where = _arranged(found["members"], asked), lists.page(asked)
        here = rows[where.start : where.start + where.size]
        table = Table("/organizations", asked, where, len(rows), here, default="name")
        return {**found, "members": here, "table": table}

    return await visit.show("organizations.html", work)


async def listed_sheet(visit: Visit) -> Response:
    """The same as a file."""
    seen = await _glance(visit)
    rows = _arranged((await visit.call.read(seen))["members"], visit.query)
    names = ("name", "status", "connected", "last_seen", "last_entry", "executing", "open", "done", "failed")
    return sheet("organizations", fields(*names, "sandbox", "version"), rows)


def _arranged(members: list[Mapping[str, Any]], asked: Mapping[str, str]) -> list[Mapping[str, Any]]:
    sorts = ("name", "connected", "last_entry", "executing", "open", "done", "failed", "sandbox", "version")
    return arranged(members, asked, sorts=sorts, words=("name", "status", "sandbox", "version"))


async def home(visit: Visit) -> Response:
    """What runs, what waits for the visitor, what has happened, and whether all are well."""
    seen = await _glance(visit)
    stewards = Right.APPROVE in visit.call.principal.rights

    def work(view: View) -> Mapping[str, Any]:
        open_, ended = _plans(view, "ended_at"), _plans(view, "-ended_at")
        running = [view.plan(each) for each in open_ if not each.ended_at]
        waiting = (
            [each for each in approving.judged(view.log, view.organization) if each.word is None] if stewards else []
        )
        view.learn(each.function for each in waiting[:SHOWN])
        return {
            **seen(view),
            "running": running[:SHOWN],
            "more": len(running) > SHOWN,
            "ended": [view.plan(each) for each in ended if each.ended_at][:SHOWN],
            "any_plan": bool(ended),
            "waiting": [{"function": view.function(each.function), "tasks": each.waiting} for each in waiting[:SHOWN]],
            "news": latest(view, 12),
        }

    return await visit.show("overview.html", work)


def _plans(view: View, order: str) -> list[Plan]:
    """The first plans by when they ended; those that have not come before all."""
    _, found = view.records.search(Plan, {}, order=order, limit=SHOWN + 1)
    view.learn(found)
    return found


async def _glance(visit: Visit) -> Any:
    part = visit.call.part
    glance = await overview.glance(part)
    following = part.following

    def work(view: View) -> Mapping[str, Any]:
        members = [
            {
                "name": each.organization,
                "status": each.status,
                "connected": each.connected,
                "last_seen": date(each.last_seen),
                "version": each.version,
                "sandbox": each.sandbox,
                "behind": None if each.entries is None else max(0, view.log.size - each.entries),
                "last_entry": date(each.last_entry),
                "done": each.tasks.get("STATUS_DONE", 0),
                "executing": each.tasks.get("STATUS_EXECUTING", 0),
                "failed": each.tasks.get("STATUS_FAILED", 0),
                "open": sum(count for status, count in each.tasks.items() if "WAITING" in status),
            }
            for each in glance.members
        ]
        return {
            "members": members,
            "hub": following.link.address.url,
            "connected": following.connected,
            "trouble": following.trouble,
            "broken": following.broken,
            "sandbox": part.pool.level,
            "sandbox_trouble": part.pool.trouble,
            "outbox": glance.outbox,
            "size": view.log.size,
        }

    return work
