"""Every route of the hub, who may call it, and what it takes and gives: what has no row here does not exist."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict, final

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from comity.adapters import openapi_page
from comity.adapters.openapi import BYTES, JSON, Binary, Count, Operation, Program, document
from comity.domain.entry import Entry
from comity.domain.joining import Join
from comity.hub import entries, mail, news, operations, parcels
from comity.hub.hub import answer
from comity.hub.mail import Posted
from comity.hub.news import News
from comity.hub.ordering import Lost
from comity.hub.parcels import Announced

ParcelName: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Refusal(TypedDict):
    """Why a request is refused."""

    error: str
    detail: str


class Outcome(TypedDict, total=False):
    """Where an entry stands now, or why it is refused."""

    place: int
    error: str
    detail: str


class Nothing(TypedDict):
    """It is done."""


class Live(TypedDict):
    """That the process answers."""

    live: bool


class Ready(TypedDict):
    """Whether entries are ordered."""

    ready: bool


class Joined(TypedDict):
    """Who was let in."""

    joined: str


class Present(TypedDict):
    """When an organization called last, and as whom; of the caller also what is on its way."""

    last_seen: int
    version: str
    sandbox: str
    entries: int | None
    letters: NotRequired[int]
    parcels: NotRequired[int]
    parcel_bytes: NotRequired[int]


class Received(TypedDict):
    """How many bytes of a parcel are here."""

    received: int


class Parcel(Received):
    """And how many there will be."""

    size: int


@final
@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    by: Literal["anyone", "member", "operator"]
    endpoint: Callable[[Request], Awaitable[Response]]
    summary: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of path and query, and their types."""
    takes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The type of the body by its media type."""
    gives: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The type of the answer by its media type."""
    status: Sequence[int] = (200,)
    """With which it answers."""


async def openapi(request: Request) -> Response:
    """These routes as an OpenAPI document."""
    return answer(request.app.state.openapi())


async def page(request: Request) -> Response:
    """The same to be read; it loads nothing."""
    headers = {"content-security-policy": openapi_page.POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(openapi_page.page(request.app.state.openapi()), headers=headers)


NEWS = {"from": Count, "mail": Count, "after": Count, "wait": Count}
NAMED = {"parcel": ParcelName}
FROM = {**NAMED, "offset": Count}

ROUTES = (
    Route("GET", "/live", "anyone", operations.live, "Whether the process answers", gives={JSON: Live}),
    Route(
        "GET",
        "/ready",
        "anyone",
        operations.ready,
        "Whether entries are ordered",
        gives={JSON: Ready},
        status=(200, 503),
    ),
    Route("GET", "/metrics", "operator", operations.metrics, "Figures for Prometheus", gives={"text/plain": str}),
    Route("GET", "/openapi.json", "anyone", openapi, "This document", gives={JSON: dict[str, Any]}),
    Route("GET", "/docs", "anyone", page, "This document, to be read", gives={"text/html": str}),
    Route("POST", "/join", "anyone", entries.join, "Join by a token", takes={JSON: Join}, gives={JSON: Joined}),
    Route(
        "POST",
        "/entries",
        "member",
        entries.entries,
        "Give entries their places",
        takes={JSON: list[Entry]},
        gives={JSON: list[Outcome]},
    ),
    Route(
        "POST",
        "/lost",
        "member",
        entries.lost,
        "Give back what the hub has lost",
        takes={JSON: Lost},
        gives={JSON: Nothing},
    ),
    Route("GET", "/news", "member", news.news, "Learn what is new", NEWS, gives={JSON: News}),
    Route("POST", "/mail", "member", mail.post, "Post a sealed letter", takes={JSON: Posted}, gives={JSON: Nothing}),
    Route("GET", "/presence", "member", news.presence, "See who was here", gives={JSON: dict[str, Present]}),
    Route("GET", "/parcels/{parcel}", "member", parcels.received, "See how much is here", NAMED, gives={JSON: Parcel}),
    Route(
        "POST",
        "/parcels/{parcel}",
        "member",
        parcels.announce,
        "Announce a sealed blob",
        NAMED,
        takes={JSON: Announced},
        gives={JSON: Received},
    ),
    Route(
        "DELETE",
        "/parcels/{parcel}",
        "member",
        parcels.acknowledge,
        "Need a parcel no more",
        NAMED,
        gives={JSON: Nothing},
    ),
    Route(
        "PUT",
        "/parcels/{parcel}/bytes",
        "member",
        parcels.upload,
        "Send bytes of a parcel",
        FROM,
        takes={BYTES: Binary},
        gives={JSON: Received},
    ),
    Route(
        "GET",
        "/parcels/{parcel}/bytes",
        "member",
        parcels.download,
        "Fetch bytes of a parcel",
        FROM,
        gives={BYTES: Binary},
    ),
)

SCHEMES = {"anyone": (), "member": ("signature",), "operator": ("operator",)}

HUB = Program(
    title="comity hub",
    version=version("comity"),
    description="What nodes ask of a hub. Members sign each request with their organization's key.",
    schemes={
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Comity ` and base64 of the request as it is signed, with the signature",
        },
        "operator": {
            "type": "http",
            "scheme": "bearer",
            "description": "What `metrics-token` in the hub's folder holds",
        },
    },
    refusal=Refusal,
)


def described() -> dict[str, Any]:
    """The document."""
    operations = [
        Operation(
            method=route.method,
            path=route.path,
            summary=route.summary,
            parameters=route.parameters,
            takes=route.takes,
            gives=route.gives,
            schemes=SCHEMES[route.by],
            status=route.status,
        )
        for route in ROUTES
    ]
    return document(HUB, operations)
