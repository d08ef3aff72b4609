"""Logging in, and one's own tokens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from comity.node.accounts.people import Issued, Token
from comity.node.rest.bodies import NewToken, decoded, form
from comity.node.rest.call import Call, answer
from comity.node.rest.dates import moment
from comity.values.errors import Unauthenticated, Unavailable

LARGEST_LOGIN = 16 << 10
"""Bytes of a request that anyone may send."""


async def log_in(call: Call) -> Response:
    """A token for a user's name and password."""
    given = form(await call.body(LARGEST_LOGIN))
    missing = {name: ["This field is required."] for name in ("username", "password") if not given.get(name)}
    if missing:
        return answer(missing, 400)
    name, password = given["username"][-1], given["password"][-1]
    address = call.request.client.host if call.request.client else ""
    try:
        issued = await asyncio.to_thread(call.api.accounts.login, name, password, address=address)
    except Unauthenticated as error:
        return answer({"non_field_errors": [str(error)]}, 400)
    except Unavailable as error:
        return answer({"detail": str(error)}, 429)
    return answer(_shown_once(issued))


async def create(call: Call) -> Response:
    """A token for programs, which is shown once."""
    new = decoded(await call.body(), NewToken)
    scopes = call.principal.rights if new.scopes is None else new.scopes
    issued = await asyncio.to_thread(
        call.api.accounts.add_token, call.principal, note=new.note, expires=moment(new.expires_at), scopes=scopes
    )
    return answer({"note": issued.token.note, **_shown_once(issued)})


async def active(call: Call) -> Response:
    """One's own tokens, and those of logins."""
    held = await asyncio.to_thread(call.api.accounts.tokens, call.principal)
    return answer(
        {
            "tokens": [{"note": each.note, **_written(each)} for each in held if each.kind == "api"],
            "implicit_tokens": [_written(each) for each in held if each.kind == "login"],
        }
    )


async def revoke(call: Call) -> Response:
    """End one of one's own tokens."""
    await asyncio.to_thread(call.api.accounts.revoke, call.principal, call.parameters.get("id", ""))
    return answer({"detail": "Token removed"})


def _shown_once(issued: Issued) -> dict[str, Any]:
    return {**_written(issued.token), "token": issued.secret}


def _written(token: Token) -> dict[str, Any]:
    return {"id": token.id, "created_at": _date(token.created_at), "expires_at": _date(token.expires)}


def _date(milliseconds: int) -> str:
    """With an offset in figures: Python 3.10, which runs the stock client, does not know Z."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
