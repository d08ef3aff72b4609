"""Who calls: a request's signature is verified before its body is read.

Whoever is not a member of a channel, under whichever name and with whichever keys, gets one and the same answer,
whether the channel is ordered here or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from sqlalchemy import Connection, select
from starlette.requests import Request

from comity.adapters import arriving
from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import channels
from comity.domain.records import Organization
from comity.domain.request import TOLERANCE, SignedRequest, check_time, read_authorization, verify
from comity.hub.hub import Hub, Presence, hub_of
from comity.hub.recall import Member
from comity.values.digest import digest
from comity.values.errors import DecodeError, Forbidden

SWEEP = 1000
"""Nonces after which old ones are looked for."""


@final
@dataclass(frozen=True)
class Caller:
    """A member of a channel whose signature was verified."""

    channel: int
    digest: str
    organization: str


async def called(request: Request, most: int = 0) -> tuple[Caller, bytes]:
    """(who calls, the body, of at most so many bytes); raises Forbidden, DecodeError or InvalidInput."""
    caller, signed = await _verified(request)
    body = await read_body(request, most)
    if signed.body != (digest(body) if body else ""):
        raise Forbidden("the signature is of another body")
    return caller, body


async def called_with_stream(request: Request) -> Caller:
    """Who calls; the signature leaves out the body, a sealed stream that vouches for itself."""
    caller, signed = await _verified(request)
    if signed.body:
        raise Forbidden("the signature is of a body, not of a stream")
    return caller


async def read_body(request: Request, most: int) -> bytes:
    """The body; raises InvalidInput for more bytes, or when they do not come."""
    return await arriving.body(request.stream(), most)


def channel_number(connection: Connection, named: str) -> int | None:
    """The channel's number at this hub."""
    return connection.execute(select(channels.c.id).where(channels.c.digest == named)).scalar()


def member(log: Log, organization: str) -> Organization | None:
    """The organization while it is a member."""
    found = log.records.get(Organization, organization)
    return found if found is not None and found.status == "member" else None


async def _verified(request: Request) -> tuple[Caller, SignedRequest]:
    hub = hub_of(request)
    signed, signature = read_authorization(request.headers.get("authorization", ""))
    # Not request.url, which is made with the Host header of the caller's choice.
    query = request.scope["query_string"].decode("latin-1")
    target = request.scope["path"] + (f"?{query}" if query else "")
    if signed.method != request.method or signed.target != target:
        raise Forbidden(f"the signature is of {signed.method} {signed.target}, not of this request")
    check_time(signed.time, now=hub.clock(), since=hub.started)
    found = await _identified(hub, signed, signature)
    if found is None:
        raise Forbidden(
            f"{signed.organization} is not, by these keys, a member of a channel {signed.channel} of this hub; "
            "join with a token"
        )
    _use_nonce(hub, signed)
    caller = Caller(found.channel, signed.channel, signed.organization)
    here = hub.presence.setdefault((found.channel, signed.organization), Presence())
    here.seen, here.agent = hub.clock(), request.headers.get("user-agent", "")[:80]
    return caller, signed


async def _identified(hub: Hub, signed: SignedRequest, signature: bytes) -> Member | None:
    """The member that the organization is, if it has signed this."""
    members, name = hub.recall.members, (signed.channel, signed.organization)
    known = members.get(name)
    if known is not None and _is_signed(signed, signature, known):
        return known
    # Of a member with other keys as of anybody: how long a refusal takes does not tell who is a member.
    found = await hub.database.aread(lambda connection: _member(hub, connection, signed))
    if found is None or found == known or not _is_signed(signed, signature, found):
        return None
    members[name] = found
    return found


def _member(hub: Hub, connection: Connection, signed: SignedRequest) -> Member | None:
    channel = channel_number(connection, signed.channel)
    found = None if channel is None else member(hub.ordering.log(connection, channel), signed.organization)
    return None if channel is None or found is None else Member(channel=channel, keys=found.keys)


def _is_signed(signed: SignedRequest, signature: bytes, by: Member) -> bool:
    try:
        verify(signed, signature, by.keys)
    except DecodeError:
        return False
    return True


def _use_nonce(hub: Hub, signed: SignedRequest) -> None:
    name = f"{signed.channel} {signed.organization} {signed.nonce}"
    if name in hub.nonces:
        raise Forbidden("this request was sent before; sign each with a nonce of its own")
    hub.nonces[name] = signed.time
    if len(hub.nonces) % SWEEP == 0:
        oldest = hub.clock() - 2 * TOLERANCE
        for old in [each for each, at in hub.nonces.items() if at < oldest]:
            del hub.nonces[old]
