"""Functions: their source, what changed since the last version that was approved, and the word of a steward."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.domain.records import Approval, Function, need
from comity.domain.sums import SUM
from comity.faces.web.code import changes, highlighted
from comity.faces.web.material import SOON, text
from comity.faces.web.pages import lists
from comity.faces.web.pages.spreadsheets import fields, sheet
from comity.faces.web.prose import prose
from comity.faces.web.tables import Table, arranged
from comity.faces.web.visit import Visit, to
from comity.node import approving, registering
from comity.node.accounts.roles import Right
from comity.node.approving import Review
from comity.node.rest.dates import date
from comity.node.rest.filters import FUNCTIONS
from comity.node.rest.organizations import members
from comity.node.rest.profiling import of_function
from comity.node.rest.render import View
from comity.values.errors import ComityError, Conflict, InvalidInput

STATUSES = (
    "FUNCTION_STATUS_WAITING",
    "FUNCTION_STATUS_BUILDING",
    "FUNCTION_STATUS_READY",
    "FUNCTION_STATUS_FAILED",
    "FUNCTION_STATUS_CANCELED",
)


async def listed(visit: Visit) -> Response:
    """The functions of the channel."""
    asked = visit.query

    def work(view: View) -> Mapping[str, Any]:
        organizations = [each["id"] for each in members(view)]
        table = lists.table(view, FUNCTIONS, "/functions", asked)
        return {"table": table, "organizations": organizations, "statuses": STATUSES}

    return await visit.show("functions.html", work)


async def approvals(visit: Visit) -> Response:
    """Functions of others that could run here, those without a word first."""
    asked = visit.query

    def work(view: View) -> Mapping[str, Any]:
        rows, where = _judged(visit, view), lists.page(asked)
        here = rows[where.start : where.start + where.size]
        return {"table": Table("/approvals", asked, where, len(rows), here, default="")}

    return await visit.show("approvals.html", work)


async def approvals_sheet(visit: Visit) -> Response:
    """The same as a file."""
    rows = await visit.call.read(lambda view: _judged(visit, view))
    return sheet("approvals", fields("key", "name", "owner", "archive", "status", "by", "reason", "waiting"), rows)


def _judged(visit: Visit, view: View) -> list[Mapping[str, Any]]:
    every = approving.judged(view.log, view.organization)
    every.sort(key=lambda each: (each.word is not None, -each.waiting))
    view.learn(each.function for each in every)
    rows: list[Mapping[str, Any]] = []
    for each in every:
        word = each.word and _word(visit, view, each.word)
        rows.append(
            {
                "key": each.function.key,
                "name": view.function_name(each.function),
                "owner": each.function.owner,
                "archive": each.function.archive,
                "waiting": each.waiting,
                "creation_date": date(each.function.created_at),
                "status": "waits" if word is None else "approved" if word["approved"] else "refused",
                "by": word["by"] if word else "",
                "reason": word["reason"] if word else "",
            }
        )
    words = ("key", "name", "owner", "archive", "status", "by")
    return arranged(rows, visit.query, sorts=("name", "owner", "status", "waiting", "creation_date"), words=words)


async def show(visit: Visit) -> Response:
    """One function; for a steward the form to let it run here, or not."""
    key, part = visit.call.key, visit.call.part
    await visit.call.read(lambda view: need(view.records, Function, key))
    described = await text(part, "function description", key)
    review, why = await _review(visit)
    rights = visit.call.principal.rights

    def work(view: View) -> Mapping[str, Any]:
        function = need(view.records, Function, key)
        mine = function.owner == view.organization
        words = sorted(view.records.find(Approval, "archive", function.archive), key=lambda each: each.organization)
        before = review.before if review else None
        return {
            "function": view.function(function),
            "archive": function.archive,
            "described": prose(described.body) if described.body else "",
            "described_why": described.why,
            "files": [(name, highlighted(name, body)) for name, body in review.files.items()] if review else [],
            "files_why": why,
            "before": before and {"key": before.key, "archive": before.archive},
            "changes": changes(review.files_before, review.files) if review and before else [],
            "locked": list(function.locked),
            "build": of_function(view, function),
            "words": [{"organization": each.organization, **_word(visit, view, each)} for each in words],
            "word": next((_word(visit, view, each) for each in words if each.organization == view.organization), None),
            "waiting": review.judged.waiting if review else 0,
            "may_decide": Right.APPROVE in rights and not mine and review is not None,
            "may_rename": Right.REGISTER in rights and mine,
        }

    return await visit.show("function.html", work)


async def approve(visit: Visit) -> Response:
    """Let functions of the archive that was read run here."""
    await _check_read(visit)
    await approving.approve(visit.call.part, visit.call.key, by=visit.call.principal.user)
    return to("/approvals")


async def refuse(visit: Visit) -> Response:
    """Let no function of the archive that was read run here."""
    await _check_read(visit)
    reason = visit.field("reason")
    if not 0 < len(reason) <= 1000:
        raise InvalidInput("say why, in 1,000 characters at most: the function's owner reads it; go back and write it")
    await approving.refuse(visit.call.part, visit.call.key, by=visit.call.principal.user, reason=reason)
    return to("/approvals")


async def rename(visit: Visit) -> Response:
    """Give a function another name."""
    name = visit.field("name")
    if not 0 < len(name) <= 100:
        raise InvalidInput(f"a name has 1 to 100 characters, not {len(name)}; go back and choose another")
    await registering.rename(visit.call.part, "function", visit.call.key, name=name)
    return to(f"/functions/{visit.call.key}")


async def _check_read(visit: Visit) -> None:
    """Raise Conflict unless the form names the archive that the word is about."""
    function = await visit.call.read(lambda view: need(view.records, Function, visit.call.key))
    if visit.field("archive") != function.archive:
        raise Conflict("the word was for another archive than this function has; read it and decide again")


async def _review(visit: Visit) -> tuple[Review | None, str]:
    if visit.call.key == SUM:
        return None, "it adds contributions and is part of comity: no code of a user takes part in it"
    try:
        async with asyncio.timeout(SOON):
            return await approving.review(visit.call.part, visit.call.key), ""
    except TimeoutError:
        return None, "it is on its way from its owner's node; load the page again in a moment"
    except ComityError as error:
        return None, str(error)


def _word(visit: Visit, view: View, each: Approval) -> dict[str, Any]:
    mine = each.organization == view.organization
    by = visit.call.api.accounts.names([each.by]).get(each.by, each.by) if mine else ""
    return {"approved": each.approved, "by": by, "reason": view.text(each.reason), "date": date(each.at)}
