"""The hub's one port: entries in their order, mail and parcels on their way, and joining."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection, delete, insert, select

from comity.adapters.sql.database import Database
from comity.adapters.sql.log import Delivery, Log
from comity.adapters.sql.schema import channels
from comity.domain.entry import read_entries
from comity.domain.joining import read_join
from comity.domain.records import Organization
from comity.domain.request import TOLERANCE, SignedRequest, check_time, read_authorization, verify
from comity.hub import schema
from comity.hub.founder import Founder
from comity.hub.ordering import Lost, Ordering, deliveries
from comity.hub.spool import Spool
from comity.values.digest import digest
from comity.values.errors import (
    ComityError,
    Conflict,
    DecodeError,
    Forbidden,
    InvalidInput,
    NotFound,
    Unavailable,
)

STATUS: dict[type[ComityError], int] = {
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    DecodeError: 400,
    InvalidInput: 400,
}

LONGEST_WAIT = 25.0
"""Seconds that a request for news is held; proxies often cut at 30."""

LOOK = 0.5
"""Seconds after which a waiting request looks whether the hub is about to end."""

LARGEST_BODY = 4 << 20
"""Bytes of a request that is no parcel."""

LARGEST_MAIL = 64 << 10

MOST_NEWS = 4 << 20


@final
class Letter(msgspec.Struct, frozen=True):
    """Mail as it is delivered."""

    id: int
    sender: str
    body: str


@final
class News(msgspec.Struct, frozen=True):
    """What a node has not seen yet."""

    deliveries: list[Delivery]
    size: int
    checkpoint: str
    """Of the whole log, signed by the hub."""
    mail: list[Letter]


@final
class Posted(msgspec.Struct, frozen=True):
    """Mail as it is sent."""

    recipient: str
    body: str


@final
@dataclass
class Hub:
    """What the hub's routes share."""

    database: Database
    key: Ed25519PrivateKey
    founder: Founder
    spool: Spool
    ordering: Ordering
    clock: Callable[[], int]
    started: int
    stopping: Callable[[], bool] = lambda: False
    """Whether the program is about to end; requests that wait are then answered."""
    nonces: dict[str, int] = field(default_factory=dict[str, int])
    presence: dict[tuple[int, str], tuple[int, str]] = field(default_factory=dict[tuple[int, str], tuple[int, str]])
    """(last request, version) by channel and organization."""


@final
@dataclass(frozen=True)
class Caller:
    """A member of a channel whose signature was verified."""

    channel: int
    digest: str
    organization: str


def now() -> int:
    """Milliseconds since 1970 by this machine's clock."""
    return time.time_ns() // 1_000_000


def hub(database: Database, key: Ed25519PrivateKey, founder: Founder, folder: Path) -> Hub:
    """A hub over its database and spool."""
    return Hub(database, key, founder, Spool(folder / "spool"), Ordering(database, key, now), now, now())


def app(hub: Hub, ready: Callable[[], None]) -> FastAPI:
    """The hub as an ASGI application; `ready` is called when it begins to answer."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await hub.ordering.begin()
        task = asyncio.create_task(hub.ordering.run())
        ready()
        yield
        task.cancel()

    made = FastAPI(title="comity hub", lifespan=lifespan)
    made.state.hub = hub
    made.add_exception_handler(ComityError, _refusal)
    made.add_api_route("/live", _live, methods=["GET"])
    made.add_api_route("/join", _join, methods=["POST"])
    made.add_api_route("/entries", _entries, methods=["POST"])
    made.add_api_route("/lost", _lost, methods=["POST"])
    made.add_api_route("/news", _news, methods=["GET"])
    made.add_api_route("/mail", _post, methods=["POST"])
    made.add_api_route("/presence", _presence, methods=["GET"])
    made.add_api_route("/parcels/{parcel}", _received, methods=["GET"])
    made.add_api_route("/parcels/{parcel}", _announce, methods=["POST"])
    made.add_api_route("/parcels/{parcel}", _acknowledge, methods=["DELETE"])
    made.add_api_route("/parcels/{parcel}/bytes", _upload, methods=["PUT"])
    made.add_api_route("/parcels/{parcel}/bytes", _download, methods=["GET"])
    return made


def _refusal(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    return _json({"error": type(error).__name__, "detail": str(error)}, status)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _live(request: Request) -> Response:
    return _json({"live": True})


async def _join(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    join = read_join(await _body(request))

    def admit(connection: Connection) -> int:
        channel = _channel(connection, join.channel)
        hub.founder.admit(connection, channel, join)
        return channel

    hub.ordering.wake(await hub.database.awrite(admit))
    return _json({"joined": join.organization})


async def _entries(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    body = await _body(request)
    caller = await _caller(request, body)
    outcomes: list[dict[str, Any]] = []
    for entry in read_entries(body):
        try:
            outcomes.append({"place": await hub.ordering.place(caller.channel, entry)})
        except ComityError as error:
            outcomes.append({"error": type(error).__name__, "detail": str(error)})
            break  # those behind it name it as their predecessor
    return _json(outcomes)


async def _lost(request: Request) -> Response:
    """A node gives back what this hub once signed and has no more, since it was restored from a backup."""
    hub: Hub = request.app.state.hub
    body = await _body(request)
    caller = await _caller(request, body)
    lost = _decoded(body, Lost)
    await hub.ordering.take_back(caller.channel, caller.digest, lost)
    return _json({})


async def _news(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    caller = await _caller(request, b"")
    start, letter = _number(request, "from"), _number(request, "mail")
    await hub.ordering.heard(caller.channel, caller.organization, start)
    deadline = time.monotonic() + min(_number(request, "wait") / 1000, LONGEST_WAIT)

    def news(connection: Connection) -> News:
        size, checkpoint = hub.ordering.note(connection, caller.channel, caller.digest)
        found = deliveries(connection, caller.channel, start, most=2000, most_bytes=MOST_NEWS)
        table = schema.mail
        rows = connection.execute(
            select(table)
            .where(table.c.channel == caller.channel, table.c.recipient == caller.organization, table.c.id > letter)
            .order_by(table.c.id)
            .limit(200)
        )
        return News(found, size, checkpoint, [Letter(row.id, row.sender, row.body.decode()) for row in rows])

    if letter:
        table = schema.mail
        await hub.database.awrite(
            lambda connection: connection.execute(
                delete(table).where(
                    table.c.channel == caller.channel, table.c.recipient == caller.organization, table.c.id <= letter
                )
            )
        )
    fresh, made = True, News([], 0, "", [])
    while True:
        left = deadline - time.monotonic()
        grown = asyncio.ensure_future(hub.ordering.grown(caller.channel, min(LOOK, max(0.0, left))))
        if fresh:
            made = await hub.database.aread(news)
        if made.deliveries or made.mail or left <= 0 or hub.stopping():
            grown.cancel()
            return _json(made)
        fresh = await grown


async def _post(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    body = await _body(request)
    caller = await _caller(request, body)
    posted = _decoded(body, Posted)
    if len(posted.body) > LARGEST_MAIL:
        raise InvalidInput(f"a letter has {len(posted.body)} bytes; at most {LARGEST_MAIL}, larger things are parcels")

    def keep(connection: Connection) -> None:
        _member(connection, caller.channel, posted.recipient)
        connection.execute(
            insert(schema.mail).values(
                channel=caller.channel,
                sender=caller.organization,
                recipient=posted.recipient,
                body=posted.body.encode(),
            )
        )

    await hub.database.awrite(keep)
    hub.ordering.wake(caller.channel)
    return _json({})


async def _presence(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    caller = await _caller(request, b"")
    return _json(
        {
            organization: {"last_seen": seen, "version": version}
            for (channel, organization), (seen, version) in hub.presence.items()
            if channel == caller.channel
        }
    )


async def _announce(request: Request) -> Response:
    """A parcel is to come, of so many bytes, for these recipients; said again, it adds recipients."""
    hub: Hub = request.app.state.hub
    body = await _body(request)
    caller = await _caller(request, body)
    announced = _decoded(body, dict[str, Any])
    size, recipients, parcel = announced.get("size"), announced.get("recipients"), _parcel(request)
    if not isinstance(size, int) or not isinstance(recipients, list) or size < 1:
        raise InvalidInput("announce a parcel by its size and its recipients")

    def keep(connection: Connection) -> None:
        for recipient in recipients:
            _member(connection, caller.channel, recipient)
        known = _known(connection, caller.channel, parcel)
        if known is None:
            connection.execute(
                insert(schema.parcels).values(channel=caller.channel, id=parcel, sender=caller.organization, size=size)
            )
        elif known.sender != caller.organization or known.size != size:
            raise Conflict(f"there is another parcel {parcel}")
        table = schema.awaited
        waiting = connection.execute(
            select(table.c.recipient).where(table.c.channel == caller.channel, table.c.parcel == parcel)
        ).scalars()
        new = set(recipients) - set(waiting)
        if new:
            connection.execute(
                insert(table),
                [{"channel": caller.channel, "parcel": parcel, "recipient": each} for each in sorted(new)],
            )

    await hub.database.awrite(keep)
    return _json({"received": hub.spool.received(_spooled(caller, parcel))})


async def _received(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    caller = await _caller(request, b"")
    parcel = _parcel(request)
    known = await hub.database.aread(lambda connection: _allowed(connection, caller, parcel))
    return _json({"size": known, "received": hub.spool.received(_spooled(caller, parcel))})


async def _upload(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    caller = await _caller(request, None)
    parcel = _parcel(request)
    known = await hub.database.aread(lambda connection: _known(connection, caller.channel, parcel))
    if known is None or known.sender != caller.organization:
        raise NotFound(f"there is no parcel {parcel} of yours; announce it first")
    name = _spooled(caller, parcel)
    received = await hub.spool.write(name, _number(request, "offset"), known.size, request.stream())
    return _json({"received": received})


async def _download(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    caller = await _caller(request, b"")
    parcel = _parcel(request)
    size = await hub.database.aread(lambda connection: _allowed(connection, caller, parcel))
    pieces = hub.spool.read(_spooled(caller, parcel), _number(request, "offset"), size, LONGEST_WAIT)
    return StreamingResponse(pieces, media_type="application/octet-stream")


async def _acknowledge(request: Request) -> Response:
    """A recipient has the parcel; once all have, it is forgotten."""
    hub: Hub = request.app.state.hub
    caller = await _caller(request, b"")
    parcel = _parcel(request)

    def forget(connection: Connection) -> bool:
        table = schema.awaited
        here = (table.c.channel == caller.channel) & (table.c.parcel == parcel)
        connection.execute(delete(table).where(here, table.c.recipient == caller.organization))
        if connection.execute(select(table.c.recipient).where(here)).first() is not None:
            return False
        found = _known(connection, caller.channel, parcel)
        connection.execute(
            delete(schema.parcels).where(schema.parcels.c.channel == caller.channel, schema.parcels.c.id == parcel)
        )
        return found is not None

    if await hub.database.awrite(forget):
        hub.spool.remove(_spooled(caller, parcel))
    return _json({})


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise InvalidInput(f"the request has more than {LARGEST_BODY} bytes; send less at a time")
    return body


async def _caller(request: Request, body: bytes | None) -> Caller:
    """Who calls; raises Forbidden or DecodeError. A body of None is a stream, which the signature leaves out."""
    hub: Hub = request.app.state.hub
    signed, signature = read_authorization(request.headers.get("authorization", ""))
    query = request.url.query
    target = request.url.path + (f"?{query}" if query else "")
    if signed.method != request.method or signed.target != target:
        raise Forbidden(f"the signature is of {signed.method} {signed.target}, not of this request")
    if signed.body != (digest(body) if body else ""):
        raise Forbidden("the signature is of another body")
    check_time(signed.time, now=hub.clock(), since=hub.started)
    caller, keys = await hub.database.aread(lambda connection: _identified(connection, signed))
    verify(signed, signature, keys)
    _use_nonce(hub, signed)
    version = request.headers.get("user-agent", "")[:50]
    hub.presence[caller.channel, caller.organization] = (hub.clock(), version)
    return caller


def _identified(connection: Connection, signed: SignedRequest) -> tuple[Caller, Any]:
    channel = _channel(connection, signed.channel)
    member = _member(connection, channel, signed.organization)
    return Caller(channel, signed.channel, signed.organization), member.keys


def _use_nonce(hub: Hub, signed: SignedRequest) -> None:
    name = f"{signed.organization} {signed.nonce}"
    if name in hub.nonces:
        raise Forbidden("this request was sent before; sign each with a nonce of its own")
    hub.nonces[name] = signed.time
    if len(hub.nonces) % 1000 == 0:
        oldest = hub.clock() - 2 * TOLERANCE
        for old in [each for each, at in hub.nonces.items() if at < oldest]:
            del hub.nonces[old]


def _channel(connection: Connection, named: str) -> int:
    found = connection.execute(select(channels.c.id).where(channels.c.digest == named)).scalar()
    if found is None:
        raise NotFound(f"this hub orders no channel {named}")
    return found


def _member(connection: Connection, channel: int, organization: str) -> Organization:
    found = Log(connection, channel).records.get(Organization, organization)
    if found is None or found.status != "member":
        raise Forbidden(f"{organization} is not a member of this channel")
    return found


def _parcel(request: Request) -> str:
    name = request.path_params["parcel"]
    if len(name) != 32 or not all(sign in "0123456789abcdef" for sign in name):
        raise InvalidInput(f"a parcel is named by 32 hexadecimal digits, not {name[:80]!r}")
    return name


def _known(connection: Connection, channel: int, parcel: str) -> Any:
    table = schema.parcels
    return connection.execute(select(table).where(table.c.channel == channel, table.c.id == parcel)).first()


def _allowed(connection: Connection, caller: Caller, parcel: str) -> int:
    """The size of a parcel that the caller sent or is to get; raises NotFound for any other."""
    known = _known(connection, caller.channel, parcel)
    table = schema.awaited
    mine = connection.execute(
        select(table.c.recipient).where(
            table.c.channel == caller.channel,
            table.c.parcel == parcel,
            table.c.recipient == caller.organization,
        )
    ).first()
    if known is None or (mine is None and known.sender != caller.organization):
        raise NotFound(f"there is no parcel {parcel} for {caller.organization}")
    return known.size


def _spooled(caller: Caller, parcel: str) -> str:
    return f"{caller.channel}-{parcel}"


def _number(request: Request, name: str) -> int:
    value = request.query_params.get(name, "0")
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise InvalidInput(f"{name} must be a whole number, not {value[:40]!r}")
    return int(value)


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise DecodeError(f"the request's body cannot be read: {error}") from error
