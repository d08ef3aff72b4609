"""The users of this node, for those who manage them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response

from comity.faces.web.pages import lists
from comity.faces.web.pages.spreadsheets import fields, sheet
from comity.faces.web.tables import Table, arranged
from comity.faces.web.visit import Visit, to
from comity.node.accounts.passwords import new_password
from comity.node.accounts.people import User
from comity.node.accounts.roles import RIGHTS, Role, role_named
from comity.node.rest.dates import date, moment
from comity.node.rest.render import View
from comity.values.errors import ComityError


async def listed(visit: Visit) -> Response:
    """The users, by name."""
    return await _list(visit)


async def add(visit: Visit) -> Response:
    """Add a user with a new password, which is shown once."""
    name, role, expires = visit.field("username"), role_named(visit.field("role")), _expires(visit)
    password = new_password()
    accounts, channel = visit.call.api.accounts, visit.call.principal.channel
    try:
        await asyncio.to_thread(accounts.add, channel, name, password=password, role=role, expires=expires)
    except ComityError as error:
        return await _list(visit, wrong=str(error))
    return await _list(visit, shown=(f"{name} can log in with the password", password))


async def change(visit: Visit) -> Response:
    """Give a user another role and end; the last administrator keeps the own, and has no end."""
    role, expires = role_named(visit.field("role")), _expires(visit)
    accounts, who = visit.call.api.accounts, (visit.call.principal.channel, visit.call.key)
    try:
        await asyncio.to_thread(accounts.set_role, *who, role)
        if visit.field("expires") != visit.field("was"):  # a form shows the day alone: who leaves it keeps the minute
            await asyncio.to_thread(accounts.set_expiry, *who, expires)
    except ComityError as error:
        return await _list(visit, wrong=str(error))
    return to("/manage_users")


async def remove(visit: Visit) -> Response:
    """Remove a user and all that the user's tokens open; the last administrator stays."""
    try:
        await asyncio.to_thread(visit.call.api.accounts.delete, visit.call.principal.channel, visit.call.key)
    except ComityError as error:
        return await _list(visit, wrong=str(error))
    return to("/manage_users")


async def reset(visit: Visit) -> Response:
    """An address at which a user sets a new password once, within seven days; it is shown once."""
    accounts, name = visit.call.api.accounts, visit.call.key
    issued = await asyncio.to_thread(accounts.offer_reset, visit.call.principal.channel, name)
    # The word is not in the address, so that no proxy's log has it.
    url = f"{visit.call.base}reset_password/{name}"
    return await _list(visit, shown=(f"Let {name} open {url} and give this word", issued.secret))


def _expires(visit: Visit) -> int | None:
    """The day that a form names, at its end in UTC; None for never."""
    given = visit.field("expires")
    return moment(f"{given}T23:59:59Z") if given else None


async def _list(visit: Visit, *, wrong: str = "", shown: tuple[str, str] | None = None) -> Response:
    asked, channel = visit.query, visit.call.principal.channel
    every = await asyncio.to_thread(visit.call.api.accounts.users, channel)

    def work(view: View) -> Mapping[str, Any]:
        found, where = _arranged(every, view.now, asked), lists.page(asked)
        table = Table("/manage_users", asked, where, len(found), found[where.start : where.start + where.size], "")
        roles = [(role.value, ", ".join(sorted(RIGHTS[role]))) for role in Role]
        return {"table": table, "roles": roles, "wrong": wrong, "shown": shown}

    return await visit.show("users.html", work, status=409 if wrong else 200)


async def listed_sheet(visit: Visit) -> Response:
    """The users as a file."""
    every = await asyncio.to_thread(visit.call.api.accounts.users, visit.call.principal.channel)
    rows = _arranged(every, visit.call.api.clock(), visit.query)
    return sheet("users", fields("username", "role", "created", "expires", "expired"), rows)


def _arranged(every: Iterable[User], now: int, asked: Mapping[str, str]) -> list[Mapping[str, Any]]:
    rows = [_row(each, now) for each in every]
    return arranged(rows, asked, sorts=("username", "role", "created", "expires"), words=("username", "role"))


def _row(each: User, now: int) -> Mapping[str, Any]:
    return {
        "username": each.username,
        "role": each.role.value,
        "created": date(each.created_at),
        "expires": date(each.expires or 0),
        "expired": each.expired(now),
    }
