"""Passwords: one's own, and one that is set anew."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from comity.faces.web.session import cookie_name
from comity.faces.web.visit import Visit, to
from comity.node.rest.organizations import VERSION
from comity.values.errors import ComityError, InvalidInput, Unauthenticated


async def reset_form(visit: Visit) -> Response:
    """Where a user sets a new password with a word that an administrator gave."""
    return await visit.show_anyone("reset.html", {"username": visit.call.key, "wrong": ""})


async def reset(visit: Visit) -> Response:
    """Set it; ends every token of the user."""
    accounts, name, word = visit.call.api.accounts, visit.call.key, visit.field("word")
    password = (visit.form or {}).get("password", "")
    try:
        if await asyncio.to_thread(accounts.reset_name, word) != name:
            raise Unauthenticated("this word is for another user")
        await asyncio.to_thread(accounts.reset_password, word, password)
    except ComityError as error:
        return await visit.show_anyone("reset.html", {"username": name, "wrong": str(error)}, status=400)
    return to("/login")


async def change(visit: Visit) -> Response:
    """Set one's own password; one logs in anew with it."""
    given, request = visit.form or {}, visit.call.request
    address = request.client.host if request.client else ""
    accounts, who = visit.call.api.accounts, visit.call.principal
    old, new = given.get("old", ""), given.get("new", "")
    try:
        if new != given.get("again", ""):
            raise InvalidInput("the new password was not the same both times")
        await asyncio.to_thread(accounts.change_password, who, old=old, new=new, address=address)
    except ComityError as error:
        rights = sorted(who.rights)
        context = {"version": VERSION, "rights": rights, "wrong": str(error)}
        return await visit.show("settings.html", lambda _: context, status=400)
    made = to("/login")
    made.delete_cookie(cookie_name(visit.call.api), path="/")
    return made
