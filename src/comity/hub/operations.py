"""For those who operate the hub."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response

from comity.adapters import folder
from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import channels
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization
from comity.hub import schema
from comity.hub.hub import Hub, answer, hub_of
from comity.values.errors import Unauthenticated

SILENT = 45_000
"""Milliseconds: a node that is there asks for news every 20 seconds at least."""

SECRET = "metrics-token"
"""The file with what Prometheus shows to be given the figures."""


@final
@dataclass(frozen=True)
class Figures:
    """What the hub keeps, over all channels: who is in which is not for whoever reads figures."""

    channels: int
    members: int
    """With a node."""
    entries: int
    letters: int
    parcels: int
    parcel_bytes: int


async def live(request: Request) -> Response:
    """That this process answers."""
    return answer({"live": True})


async def ready(request: Request) -> Response:
    """Whether entries are ordered; 503 while a hub that has just started still compares histories."""
    is_ready = not hub_of(request).ordering.compares
    return answer({"ready": is_ready}, 200 if is_ready else 503)


async def metrics(request: Request) -> Response:
    """Figures of this hub, for Prometheus."""
    hub = hub_of(request)
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secrets.compare_digest(shown.strip().encode(), operator(hub)):
        raise Unauthenticated(f"show the token in {SECRET} of the hub's folder, in the header Authorization: Bearer")
    found = await hub.database.aread(_figures)
    made = CollectorRegistry()
    present = sum(hub.clock() - each.seen < SILENT for each in hub.presence.values())
    for name, words, value in (
        ("ready", "Whether entries are ordered.", not hub.ordering.compares),
        ("channels", "Channels that are ordered here.", found.channels),
        ("members", "Members of channels that have a node.", found.members),
        ("members_present", "Members whose node was heard of within 45 s.", present),
        ("log_entries", "Entries of all logs.", found.entries),
        ("letters", "Letters that wait for their recipients.", found.letters),
        ("parcels", "Parcels on their way.", found.parcels),
        ("parcel_bytes", "Bytes of the parcels on their way, as they were announced.", found.parcel_bytes),
        ("disk_free_bytes", "Room on the hub's disk.", hub.spool.free()),
    ):
        Gauge(f"comity_hub_{name}", words, registry=made).set(value)
    body = generate_latest(request.app.state.registry) + generate_latest(made)
    return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})


def operator(hub: Hub) -> bytes:
    """What Prometheus shows; made once, and kept beside the hub."""
    return folder.secret(hub.folder / SECRET, lambda: secrets.token_urlsafe(32).encode())


def _figures(connection: Connection) -> Figures:
    logs = [Log(connection, number) for number in connection.execute(select(channels.c.id)).scalars()]
    letters = select(func.count()).select_from(schema.mail)
    parcels = select(func.count(), func.coalesce(func.sum(schema.parcels.c.size), 0))
    count, size = connection.execute(parcels).one()
    return Figures(
        channels=len(logs),
        members=sum(_members(log) for log in logs),
        entries=sum(log.size for log in logs),
        letters=connection.execute(letters).scalar_one(),
        parcels=count,
        parcel_bytes=size,
    )


def _members(log: Log) -> int:
    here = log.records.get(Channel, CHANNEL)
    found = log.records.find(Organization, "status", "member")
    return sum(here is None or each.key != here.founder for each in found)
