"""What the hub's routes share, and how they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import Response

from comity.adapters.clock import now
from comity.adapters.sql.database import Database
from comity.hub.founder import Founder
from comity.hub.limits import Limits, Minutes
from comity.hub.ordering import Ordering
from comity.hub.recall import Recall
from comity.hub.spool import Spool
from comity.values.errors import (
    ComityError,
    Conflict,
    DecodeError,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
)

T = TypeVar("T")

STATUS: dict[type[ComityError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    InvalidInput: 400,
}


@final
@dataclass
class Presence:
    """When a node was heard of."""

    seen: int = 0
    """Milliseconds since 1970, of its last request."""
    agent: str = ""
    """As it named itself then."""
    entries: int | None = None
    """Of the log that it had when it last asked for news; None when it has not asked since the hub's start."""


@final
@dataclass
class Hub:
    """One hub at work."""

    folder: Path
    database: Database
    key: Ed25519PrivateKey
    founder: Founder
    spool: Spool
    ordering: Ordering
    recall: Recall
    clock: Callable[[], int]
    started: int
    limits: Limits
    minutes: Minutes
    stopping: Callable[[], bool] = lambda: False
    """Whether the program is about to end; requests that wait are then answered."""
    nonces: dict[str, int] = field(default_factory=dict[str, int])
    """Of requests, with their times."""
    presence: dict[tuple[int, str], Presence] = field(default_factory=dict[tuple[int, str], Presence])
    """Of nodes, by channel and organization."""


def hub(
    database: Database, key: Ed25519PrivateKey, founder: Founder, folder: Path, limits: Limits | None = None
) -> Hub:
    """A hub over its database and spool."""
    most = limits or Limits()
    spool, recall = Spool(folder / "spool"), Recall()
    ordering = Ordering(database, key, now, recall)
    return Hub(folder, database, key, founder, spool, ordering, recall, now, now(), most, Minutes(most))


def hub_of(request: Request) -> Hub:
    """The hub that a request has come to."""
    return request.app.state.hub


def answer(value: Any, status: int = 200) -> Response:
    """The value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def refusal(error: ComityError) -> Response:
    """What a node makes the same error of."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    return answer({"error": type(error).__name__, "detail": str(error)}, status)


def decoded(body: bytes, kind: type[T]) -> T:
    """A request's body; raises DecodeError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"the request's body cannot be read: {error}") from error


def number(request: Request, name: str) -> int:
    """A whole number from the query, 0 when there is none; raises InvalidInput."""
    value = request.query_params.get(name, "0")
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise InvalidInput(f"{name} must be a whole number, not {value[:40]!r}")
    return int(value)
