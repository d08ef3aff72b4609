"""Logging in and out."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from comity.faces.web.session import cookie_name, set_cookie, within
from comity.faces.web.visit import Visit, to
from comity.node.rest.call import Call
from comity.values.errors import Unauthenticated, Unavailable


async def show(visit: Visit) -> Response:
    """The form; whoever is logged in goes on."""
    after = within(visit.query.get("next", "/"))
    if visit.call.caller is not None:
        return to(after)
    return await visit.show_anyone("login.html", _context(visit.call, after))


async def log_in(visit: Visit) -> Response:
    """A session that did not exist before; the one that the browser had is ended."""
    name, after = visit.field("username"), within(visit.field("next"))
    password = (visit.form or {}).get("password", "")
    accounts, request = visit.call.api.accounts, visit.call.request
    address = request.client.host if request.client else ""
    try:
        issued = await asyncio.to_thread(accounts.open_session, name, password, address=address)
    except (Unauthenticated, Unavailable) as error:
        context = {**_context(visit.call, after), "username": name, "wrong": str(error)}
        return await visit.show_anyone("login.html", context, status=400 if isinstance(error, Unauthenticated) else 429)
    if visit.cookie:
        await asyncio.to_thread(accounts.end, visit.cookie)
    made = to(after)
    set_cookie(made, request, name=cookie_name(visit.call.api), value=issued.secret)
    return made


async def log_out(visit: Visit) -> Response:
    """End the session."""
    await asyncio.to_thread(visit.call.api.accounts.end, visit.cookie)
    made = to("/login")
    made.delete_cookie(cookie_name(visit.call.api), path="/")
    return made


def _context(call: Call, after: str) -> dict[str, str]:
    names = [part.following.organization for part in call.api.node.parts.values()]
    return {"organizations": ", ".join(dict.fromkeys(names)), "next": after, "username": "", "wrong": ""}
