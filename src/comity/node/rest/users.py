"""The users of a channel at this node: seen and changed by those who manage users, passwords by their owners."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypedDict, final

from msgspec import Meta, Struct
from starlette.responses import Response

from comity.node.accounts.people import User
from comity.node.accounts.roles import role_named, substra_role
from comity.node.rest.bodies import decoded
from comity.node.rest.call import Call, answer
from comity.node.rest.pages import PAGING, check, page_of
from comity.values.errors import Forbidden, InvalidInput, Unauthenticated, Unavailable

Username: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_@+.-]{1,100}\Z")]
"""With which a user logs in."""

LISTED: Mapping[str, Any] = {
    "ordering": Literal["username", "-username"],
    "match": str,
    "role": str,
    **PAGING,
}
"""Parameters of the list, and their types."""


class Shown(TypedDict):
    """A user; the role as Substra calls it, and as it is called here."""

    username: str
    channel: str
    role: Literal["ADMIN", "USER"]
    comity_role: str
    is_external_user: bool


class Reset(TypedDict):
    """With which a password is set once, within seven days."""

    reset_password_token: str


@final
class NewUser(Struct, frozen=True):
    """POST /users/; a role of Substra's, ADMIN or USER, or of this node's."""

    username: str
    password: str
    role: str = "USER"


@final
class NewRole(Struct, frozen=True):
    """PUT /users/{key}/"""

    role: str


@final
class NewPassword(Struct, frozen=True):
    """PUT /users/{key}/password/, of one's own."""

    password: str
    old_password: str


@final
class Renewal(Struct, frozen=True):
    """POST /users/{key}/set_password/"""

    token: str
    password: str


async def listed(call: Call) -> Response:
    """A page of the users, by name."""
    given = call.parameters
    check(given, LISTED)
    if given.get("ordering", "username") not in ("username", "-username"):
        raise InvalidInput(f"ordering must be username or -username, not {given['ordering'][:40]!r}")
    page = page_of(given, 100)
    every = await asyncio.to_thread(call.api.accounts.users, call.principal.channel)
    words = given.get("match", "").lower().split()
    role = role_named(given["role"]) if "role" in given else None
    found = [
        each
        for each in every
        if (role is None or role == each.role or given["role"] == substra_role(each.role))
        and all(word in each.username.lower() for word in words)
    ]
    if given.get("ordering") == "-username":
        found.reverse()
    channel = await _channel(call)
    here = found[page.start : page.start + page.size]
    return call.paged(page, len(found), [_shown(channel, each) for each in here])


async def one(call: Call) -> Response:
    """One user."""
    return await _answered(call, await asyncio.to_thread(call.api.accounts.user, call.principal.channel, call.key))


async def add(call: Call) -> Response:
    """Add a user."""
    new, accounts = decoded(await call.body(), NewUser), call.api.accounts

    def work() -> User:
        return accounts.add(call.principal.channel, new.username, password=new.password, role=role_named(new.role))

    return await _answered(call, await asyncio.to_thread(work), 201)


async def change(call: Call) -> Response:
    """Give a user another role; the last administrator keeps the own."""
    role = role_named(decoded(await call.body(), NewRole).role)
    changed = await asyncio.to_thread(call.api.accounts.set_role, call.principal.channel, call.key, role)
    return await _answered(call, changed)


async def remove(call: Call) -> Response:
    """Remove a user and all that the user's tokens open; the last administrator stays."""
    await asyncio.to_thread(call.api.accounts.delete, call.principal.channel, call.key)
    return Response(status_code=204)


async def set_own_password(call: Call) -> Response:
    """Set one's own password; ends every token of the user."""
    new = decoded(await call.body(), NewPassword)
    who, address = call.principal, call.request.client.host if call.request.client else ""
    if who.username != call.key:
        raise Forbidden(f"{who.username} may not set the password of {call.key!r:.120}; offer a reset instead")
    accounts = call.api.accounts
    try:
        await asyncio.to_thread(accounts.change_password, who, old=new.old_password, new=new.password, address=address)
    except Unauthenticated as error:  # the token was right
        return answer({"detail": str(error)}, 400)
    except Unavailable as error:
        return answer({"detail": str(error)}, 429)
    return await _answered(call, await asyncio.to_thread(call.api.accounts.user, who.channel, who.username))


async def offer_reset(call: Call) -> Response:
    """A token with which a user's password can be set once, in place of an earlier one; it is shown once."""
    issued = await asyncio.to_thread(call.api.accounts.offer_reset, call.principal.channel, call.key)
    return answer({"reset_password_token": issued.secret})


async def verify_reset(call: Call) -> Response:
    """Whether a reset can be used for this user's password; 401 if not."""
    await asyncio.to_thread(_check_reset, call, call.parameters.get("token", ""))
    return answer({})


async def use_reset(call: Call) -> Response:
    """Set a password with a reset; ends every token of the user."""
    given = decoded(await call.body(16 << 10), Renewal)
    await asyncio.to_thread(_check_reset, call, given.token)
    await asyncio.to_thread(call.api.accounts.reset_password, given.token, given.password)
    return answer({})


def _check_reset(call: Call, token: str) -> None:
    if call.api.accounts.reset_name(token) != call.key:
        raise Unauthenticated("this reset is for another user's password")


async def _answered(call: Call, user: User, status: int = 200) -> Response:
    return answer(_shown(await _channel(call), user), status)


async def _channel(call: Call) -> str:
    return await call.read(lambda view: view.channel)


def _shown(channel: str, each: User) -> Shown:
    return {
        "username": each.username,
        "channel": channel,
        "role": substra_role(each.role),
        "comity_role": each.role.value,
        "is_external_user": False,
    }
