"""Parcels: sealed blobs on their way, from one sender to the members it names, through the spool."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from comity.adapters import arriving
from comity.adapters.sql.log import Log
from comity.domain.words import OrganizationId
from comity.hub import mail, schema
from comity.hub.callers import Caller, called, called_with_stream, member
from comity.hub.hub import answer, decoded, hub_of, number
from comity.hub.limits import Limits, check_bytes
from comity.hub.mail import Posted
from comity.hub.news import LONGEST_WAIT
from comity.hub.spool import Spool
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable

_PARCELS, _AWAITED = schema.parcels, schema.awaited

_HERE = (_PARCELS.c.channel == bindparam("of")) & (_PARCELS.c.id == bindparam("named"))

_WAITING = (_AWAITED.c.channel == bindparam("of")) & (_AWAITED.c.parcel == bindparam("named"))

_KNOWN = select(_PARCELS).where(_HERE)

_DELETE = delete(_PARCELS).where(_HERE)

_SENT = select(func.count(), func.coalesce(func.sum(_PARCELS.c.size), 0)).where(
    _PARCELS.c.channel == bindparam("of"), _PARCELS.c.sender == bindparam("by")
)

_RECIPIENTS = select(_AWAITED.c.recipient).where(_WAITING)

_AWAIT_NO_MORE = delete(_AWAITED).where(_WAITING)

_HAS = _AWAIT_NO_MORE.where(_AWAITED.c.recipient == bindparam("by"))

_ALLOWED = select(_PARCELS.c.size).where(
    _HERE,
    or_(
        _PARCELS.c.sender == bindparam("by"),
        select(_AWAITED.c.recipient).where(_WAITING, _AWAITED.c.recipient == bindparam("by")).exists(),
    ),
)


@final
class Announced(msgspec.Struct, frozen=True):
    """A parcel that is to come."""

    size: Annotated[int, Meta(ge=1, le=2**52)]
    """Bytes of the sealed blob."""
    recipients: Annotated[list[OrganizationId], Meta(min_length=1, max_length=1000)]
    letters: dict[OrganizationId, str] = {}
    """That tell recipients of it."""


async def announce(request: Request) -> Response:
    """A parcel is to come, of so many bytes, for these recipients; said again, it adds recipients."""
    hub = hub_of(request)
    caller, body = await called(request, hub.limits.body_bytes)
    announced, parcel, at = decoded(body, Announced), _named(request), hub.clock()
    for recipient, letter in announced.letters.items():
        check_bytes(len(letter.encode()), hub.limits.letter_bytes, f"the letter to {recipient}")

    def wake() -> None:
        for recipient in announced.letters:
            hub.ordering.wake_recipient(caller.channel, recipient)

    hub.spool.check_room(announced.size - hub.spool.received(_spooled(caller, parcel)), hub.limits.free_bytes)
    await hub.ordering.write(
        lambda connection: _expect(
            hub.ordering.log(connection, caller.channel), caller, parcel, announced, limits=hub.limits, at=at
        ),
        wake,
    )
    return answer({"received": hub.spool.received(_spooled(caller, parcel))})


async def received(request: Request) -> Response:
    """How much of a parcel is here."""
    hub = hub_of(request)
    caller, _ = await called(request)
    parcel = _named(request)
    size = await hub.database.aread(lambda connection: _allowed(connection, caller, parcel))
    return answer({"size": size, "received": hub.spool.received(_spooled(caller, parcel))})


async def upload(request: Request) -> Response:
    """The parcel's bytes from `offset` on."""
    hub = hub_of(request)
    caller, parcel = await called_with_stream(request), _named(request)
    known = await hub.database.aread(lambda connection: _known(connection, caller.channel, parcel))
    if known is None or known.sender != caller.organization:
        raise NotFound(f"there is no parcel {parcel} of yours; announce it first")
    offset = number(request, "offset")
    hub.spool.check_room(known.size - offset, hub.limits.free_bytes)
    pieces = arriving.pieces(request.stream())
    received = await hub.spool.write(_spooled(caller, parcel), offset, known.size, pieces)
    if await hub.database.aread(lambda connection: _known(connection, caller.channel, parcel)) is None:
        hub.spool.remove(_spooled(caller, parcel))  # all have acknowledged it meanwhile: they had it from before
    return answer({"received": received})


async def download(request: Request) -> Response:
    """The parcel's bytes from `offset` on, as they arrive."""
    hub = hub_of(request)
    caller, _ = await called(request)
    parcel, offset = _named(request), number(request, "offset")
    size = await hub.database.aread(lambda connection: _allowed(connection, caller, parcel))
    pieces = hub.spool.read(_spooled(caller, parcel), offset, size, LONGEST_WAIT)
    return StreamingResponse(pieces, media_type="application/octet-stream")


async def acknowledge(request: Request) -> Response:
    """A recipient has the parcel, or its sender gives it up; it is forgotten once nobody waits for it."""
    hub = hub_of(request)
    caller, _ = await called(request)
    parcel = _named(request)
    if await hub.database.awrite(lambda connection: _acknowledged(connection, caller, parcel), patient=True):
        hub.spool.remove(_spooled(caller, parcel))
    return answer({})


def expire(connection: Connection, spool: Spool, before: int) -> None:
    """Forget parcels that were announced before a time, and files that belong to none."""
    parcels, awaited = schema.parcels, schema.awaited
    connection.execute(delete(parcels).where(parcels.c.announced_at < before))
    there = (parcels.c.channel == awaited.c.channel) & (parcels.c.id == awaited.c.parcel)
    connection.execute(delete(awaited).where(~select(parcels).where(there).exists()))
    known = connection.execute(select(parcels.c.channel, parcels.c.id))
    spool.keep_only({f"{row.channel}-{row.id}" for row in known})


def _expect(log: Log, caller: Caller, parcel: str, announced: Announced, *, limits: Limits, at: int) -> None:
    connection = log.connection
    for recipient in announced.recipients:
        if member(log, recipient) is None:
            raise Forbidden(f"{recipient} is not a member of this channel")
    known = _known(connection, caller.channel, parcel)
    if known is None:
        _check_quota(connection, caller, announced.size, limits)
        row = {"channel": caller.channel, "id": parcel, "sender": caller.organization, "size": announced.size}
        connection.execute(insert(schema.parcels).values(announced_at=at, **row))
    elif known.sender != caller.organization or known.size != announced.size:
        raise Conflict(f"there is another parcel {parcel}")
    awaiting = set() if known is None else set(connection.execute(_RECIPIENTS, _place(caller, parcel)).scalars())
    if new := set(announced.recipients) - awaiting:
        rows = [{"channel": caller.channel, "parcel": parcel, "recipient": each} for each in sorted(new)]
        connection.execute(insert(schema.awaited), rows)
    for recipient, letter in announced.letters.items():
        with suppress(Unavailable):  # too many letters wait for this one; it asks for what it needs
            mail.keep(log, caller, Posted(recipient, letter), limits=limits, at=at)


def _check_quota(connection: Connection, caller: Caller, size: int, limits: Limits) -> None:
    count, total = connection.execute(_SENT, {"of": caller.channel, "by": caller.organization}).one()
    if size > limits.parcel_bytes:
        raise InvalidInput(f"a parcel of {size} bytes never fits; {limits.parcel_bytes} is the most at this hub")
    if count >= limits.parcels or total + size > limits.parcel_bytes:
        raise Unavailable(
            f"{count} parcels of {caller.organization} with {total} bytes are on their way; {limits.parcels} of "
            f"{limits.parcel_bytes} bytes are the most, wait until they are fetched"
        )


def _acknowledged(connection: Connection, caller: Caller, parcel: str) -> bool:
    """Whether nobody waits for the parcel any more."""
    known, here = _known(connection, caller.channel, parcel), _place(caller, parcel)
    if known is None:
        return False
    if known.sender == caller.organization:
        connection.execute(_AWAIT_NO_MORE, here)
    elif not connection.execute(_HAS, {**here, "by": caller.organization}).rowcount:
        return False
    if connection.execute(_RECIPIENTS, here).first() is not None:
        return False
    connection.execute(_DELETE, here)
    return True


def _named(request: Request) -> str:
    name = request.path_params["parcel"]
    if len(name) != 32 or not all(sign in "0123456789abcdef" for sign in name):
        raise InvalidInput(f"a parcel is named by 32 hexadecimal digits, not {name[:80]!r}")
    return name


def _known(connection: Connection, channel: int, parcel: str) -> Any:
    return connection.execute(_KNOWN, {"of": channel, "named": parcel}).first()


def _allowed(connection: Connection, caller: Caller, parcel: str) -> int:
    """The size of a parcel that the caller sent or is to get; raises NotFound for any other."""
    known = connection.execute(_ALLOWED, {**_place(caller, parcel), "by": caller.organization}).first()
    if known is None:
        raise NotFound(f"there is no parcel {parcel} for {caller.organization}")
    return known.size


def _place(caller: Caller, parcel: str) -> dict[str, object]:
    return {"of": caller.channel, "named": parcel}


def _spooled(caller: Caller, parcel: str) -> str:
    return f"{caller.channel}-{parcel}"
