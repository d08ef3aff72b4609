"""One's own tokens: for programs, and the logins that are open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.faces.web.pages.spreadsheets import fields, sheet
from comity.faces.web.tables import Table, arranged
from comity.faces.web.visit import Visit, to
from comity.node.accounts.accounts import DAY
from comity.node.accounts.roles import Right
from comity.node.rest.dates import date
from comity.node.rest.pages import Page
from comity.node.rest.render import View
from comity.values.errors import ComityError, InvalidInput, unknown

DAYS = ("30", "60", "90", "365")
"""For how long a token may be made here; the API takes any time."""


async def listed(visit: Visit) -> Response:
    """The tokens, and the form for another."""
    return await _list(visit)


async def listed_sheet(visit: Visit) -> Response:
    """The same as a file, without the secrets, which this node has not."""
    columns = fields("id", "kind", "note", "scopes", "created", "expires")
    return sheet("tokens", columns, await _found(visit))


async def create(visit: Visit) -> Response:
    """A token for programs, whose secret is shown once."""
    try:
        issued = await _issue(visit)
    except ComityError as error:
        return await _list(visit, wrong=str(error))
    return await _list(visit, secret=issued)


async def revoke(visit: Visit) -> Response:
    """End a token of one's own."""
    await asyncio.to_thread(visit.call.api.accounts.revoke, visit.call.principal, visit.call.key)
    return to("/manage_tokens")


async def _issue(visit: Visit) -> str:
    days, named = visit.field("days"), [each for each in visit.field("scopes").split(",") if each]
    if days not in DAYS:
        raise unknown("number of days", days, DAYS)
    known = {right.value: right for right in Right}
    for each in named:
        if each not in known:
            raise unknown("right", each, known)
    if not named:
        raise InvalidInput("choose at least one thing that the token may do")
    call = visit.call
    expires = call.api.clock() + int(days) * DAY
    issued = await asyncio.to_thread(
        call.api.accounts.add_token,
        call.principal,
        note=visit.field("note"),
        expires=expires,
        scopes=[known[each] for each in named],
    )
    return issued.secret


async def _list(visit: Visit, *, wrong: str = "", secret: str = "") -> Response:
    who, asked, found = visit.call.principal, visit.query, await _found(visit)

    def work(_: View) -> Mapping[str, Any]:
        return {
            "table": Table("/manage_tokens", asked, Page(1, max(1, len(found))), len(found), found, default=""),
            "rights": sorted(who.rights),
            "days": DAYS,
            "wrong": wrong,
            "secret": secret,
            "url": visit.call.base.rstrip("/"),
        }

    return await visit.show("tokens.html", work, status=400 if wrong else 200)


async def _found(visit: Visit) -> list[Mapping[str, Any]]:
    who = visit.call.principal
    held = await asyncio.to_thread(visit.call.api.accounts.tokens, who)
    rows: list[Mapping[str, Any]] = [
        {
            "id": each.id,
            "kind": each.kind,
            "note": each.note,
            "scopes": ", ".join(sorted(each.scopes)),
            "created": date(each.created_at),
            "expires": date(each.expires),
            "this": each.id == who.token,
        }
        for each in reversed(held)
    ]
    return arranged(rows, visit.query, sorts=("kind", "note", "created", "expires"), words=("kind", "note", "scopes"))
