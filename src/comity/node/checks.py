"""What may keep a node from working, looked at from its own machine, each with its remedy."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from sqlalchemy import select

from comity.adapters.sql.log import Log
from comity.domain.records import Organization
from comity.domain.request import TOLERANCE
from comity.node import schema
from comity.node.following import WAIT
from comity.node.link import Address, Link
from comity.node.place import Place
from comity.node.rotating import NEW
from comity.values.errors import ComityError, Unavailable

PATIENCE = 10.0
"""Seconds."""

ROOM = 1 << 30
"""Bytes that a disk should have left."""

BEYOND = 10**14
"""No log has so many entries and no hub so many letters: a request for what comes after is held until its end."""

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@final
@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at."""

    name: str
    found: str
    remedy: str = ""
    """What to do; empty when all is well."""


async def checks(place: Place, *, hold: float = WAIT / 1000) -> AsyncIterator[Check]:
    """Every check in its order; of what cannot be looked at, since one before it failed, nothing is said.

    `hold` is for how many seconds the hub is asked to hold a request, as nodes ask it to.
    """
    yield disk(place.folder)
    rows = await place.database.aread(lambda connection: connection.execute(select(schema.joined)).all())
    async with aiohttp.ClientSession() as session:
        for row in rows:
            yield keys(place, row)
            reached = True
            for check in _way(row.url, row.certificate):
                yield check
                reached &= not check.remedy
            if reached:
                address = Address(row.url, row.certificate)
                yield await clock(session, address)
                link = Link(session, address, row.digest, row.organization, place.identity)
                yield await held(link, seconds=hold)


def disk(folder: Path) -> Check:
    """Room where the node keeps everything."""
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB are free in {folder}"
    return Check(name="disk", found=found, remedy="" if free >= ROOM else "make room, or move the folder")


def keys(place: Place, row: Any) -> Check:
    """Whether the node has the keys that its log, as it knows it, has for the organization, and follows the log."""
    with place.database.read() as connection:
        known = Log(connection, row.channel).records.get(Organization, row.organization)
    mine, remedy = place.identity.public, ""
    if (place.folder / NEW).exists():
        found, remedy = "a rotation was cut off", f"finish it: comity node rotate --dir {place.folder}"
    elif row.broken:
        found, remedy = f"this node has stopped following: {row.broken}", "show this to those who operate the hub"
    elif known is None:
        found = "the log as it is known here does not have this organization yet"
    elif known.status != "member":
        found, remedy = f"{row.organization} is a member no more", "ask for a new token: comity hub invite"
    elif known.keys != mine:
        found = f"the log has the key {known.keys.signing}, this node has {mine.signing}"
        remedy = "put node.key back from the last backup"
    else:
        found = f"{row.organization} is known by the keys of this node"
    return Check(name="keys", found=found, remedy=remedy)


def _way(url: str, certificate: str) -> Iterator[Check]:
    """From this machine to the hub's port, up to the first step that fails."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    yield (name := resolved(host, port))
    if not name.remedy:
        yield (port_open := reachable(host, port))
        if not port_open.remedy:
            yield shown(host, port, certificate)


def resolved(host: str, port: int) -> Check:
    """Whether the hub's name has an address here."""
    try:
        found = sorted({str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError as error:
        remedy = f"have {host} entered in the DNS that this machine asks, or in /etc/hosts"
        return Check(name="name", found=f"{host} has no address here: {error}", remedy=remedy)
    return Check(name="name", found=f"{host} is {', '.join(found)}")


def reachable(host: str, port: int) -> Check:
    """Whether the hub's port can be connected to, and which proxies the environment names."""
    proxies = [each for name in PROXIES if (each := os.environ.get(name))]
    said = f"; the proxy {proxies[0]} of the environment is not used: nodes call the hub directly" if proxies else ""
    try:
        socket.create_connection((host, port), PATIENCE).close()
    except OSError as error:
        remedy = f"let this machine call out to {host} port {port} by TCP, and see that the hub runs"
        return Check(name="port", found=f"{host}:{port} cannot be reached: {error}{said}", remedy=remedy)
    return Check(name="port", found=f"{host}:{port} can be reached{said}")


def shown(host: str, port: int, pinned: str) -> Check:
    """Whether the hub's own certificate is shown, and not that of a proxy which reads along."""
    context = ssl.create_default_context()
    if pinned:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            data = secure.getpeercert(binary_form=True) or b""
    except OSError as error:
        remedy = f"see whether something between here and {host} inspects TLS, and have this hub excepted from it"
        return Check(name="certificate", found=f"no certificate that is trusted here: {error}", remedy=remedy)
    got = sha256(data).hexdigest()
    if pinned and got != pinned:
        issuer = x509.load_der_x509_certificate(data).issuer.rfc4514_string()
        return Check(
            name="certificate",
            found=f"a certificate by {issuer!r:.200} is shown ({got}), not the one that the token named ({pinned})",
            remedy="have this hub excepted from TLS inspection; or the hub has a new certificate: ask for a new token",
        )
    return Check(name="certificate", found="the one that the token named" if pinned else "trusted by this machine")


async def clock(session: aiohttp.ClientSession, address: Address) -> Check:
    """How far this machine's clock is from the hub's, which refuses requests of another time; to a second or so."""
    try:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with session.get(f"{address.url}/live", ssl=address.tls, timeout=timeout) as answer:
            apart = time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (aiohttp.ClientError, OSError, KeyError, ValueError) as error:
        found = f"the hub's time cannot be had: {error!r:.200}"
        return Check(name="clock", found=found, remedy="see whether a hub listens at that address, and nothing else")
    late = abs(apart) > TOLERANCE / 1000
    remedy = f"set the clock, e.g. by NTP; {TOLERANCE // 1000} s are tolerated" if late else ""
    return Check(name="clock", found=f"this machine is {apart:+.0f} s from the hub", remedy=remedy)


async def held(link: Link, *, seconds: float) -> Check:
    """Whether a request that the hub holds back comes through whole: proxies that buffer or hurry cut it."""
    target = f"/news?from={BEYOND}&mail=0&after={BEYOND}&wait={int(seconds * 1000)}"
    start = time.monotonic()
    try:
        await link.call("GET", target, seconds=seconds + PATIENCE)
    except Unavailable as error:
        found = f"it ended after {time.monotonic() - start:.1f} s of {seconds:g}: {error}"
        remedy = f"have proxies on the way buffer nothing, and leave requests alone for {WAIT // 1000 + 10} s"
        return Check(name="news", found=found, remedy=remedy)
    except ComityError as error:
        remedy = "see the checks of keys and clock; or this organization was removed, and needs a new token"
        return Check(name="news", found=f"the hub refuses: {error}", remedy=remedy)
    return Check(name="news", found=f"the hub held a request for {time.monotonic() - start:.1f} s and answered it")
