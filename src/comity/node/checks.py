"""What may keep a node from working, looked at from its own machine, each with its remedy."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import aiohttp
from cryptography import x509
from sqlalchemy import select

from comity.adapters.execution.isolation import Level, probed
from comity.adapters.execution.way import Way, trouble
from comity.adapters.sql.log import Log
from comity.domain.records import Organization
from comity.domain.request import TOLERANCE
from comity.node import schema
from comity.node.address import Address
from comity.node.following import WAIT
from comity.node.link import Link
from comity.node.place import Place
from comity.node.rotating import NEW
from comity.node.skew import LATE, apart
from comity.values.errors import ComityError, Unavailable

PATIENCE = 10.0
"""Seconds."""

ROOM = 1 << 30
"""Bytes that a disk should have left."""

BEYOND = 10**14
"""No log has so many entries and no hub so many letters: a request for what comes after is held until its end."""


@final
@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at."""

    name: str
    found: str
    remedy: str = ""
    """What to do; empty when all is well."""


async def checks(place: Place, sandbox: Way, *, hold: float = WAIT / 1000) -> AsyncIterator[Check]:
    """Every check in its order; of what cannot be looked at, since one before it failed, nothing is said.

    `sandbox` is how the node is to hold tasks in. `hold` is for how many seconds the hub is asked to hold a request, as
    nodes ask it to.
    """
    yield disk(place.folder)
    yield await asyncio.to_thread(held_in, place.folder, sandbox)
    rows = await place.database.aread(lambda connection: connection.execute(select(schema.joined)).all())
    async with aiohttp.ClientSession() as session:
        for row in rows:
            yield keys(place, row)
            address, reached = place.address(row.url, row.certificate), True
            async for check in way(session, address):
                yield check
                reached &= not check.remedy
            if reached:
                link = Link(session, address, row.digest, row.organization, place.identity)
                yield await held(link, seconds=hold)


async def way(session: aiohttp.ClientSession, address: Address) -> AsyncIterator[Check]:
    """From this machine to the hub, up to the first step that fails, and the hub's clock."""
    steps = (through, shown) if address.proxy else (resolved, reachable, shown)
    for step in steps:
        yield (check := step(address))
        if check.remedy:
            return
    yield await clock(session, address)


def disk(folder: Path) -> Check:
    """Room where the node keeps everything."""
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB are free in {folder}"
    return Check(name="disk", found=found, remedy="" if free >= ROOM else "make room, or move the folder")


def held_in(folder: Path, way: Way) -> Check:
    """How well tasks are held in here; a sandbox that does nothing is tried."""
    with TemporaryDirectory(dir=folder, prefix=".sandbox") as made:
        reached = probed(Path(made), user=way.user, most=way.level)
    if remedy := trouble(reached, way):
        found = "no task runs" if way.demanded is not Level.PLAIN else "tasks can do what the node can"
        return Check(name="sandbox", found=f"{found}: {reached.reason}", remedy=reached.remedy or remedy)
    found = f"tasks are held in at level {reached.level}"
    return Check(name="sandbox", found=f"{found}: {reached.reason}" if reached.reason else found)


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


def resolved(address: Address) -> Check:
    """Whether the hub's name has an address here."""
    host, port = _ends(address.url)
    try:
        found = sorted({str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError as error:
        remedy = (
            f"have {host} entered in the DNS that this machine asks, or in /etc/hosts; or name a proxy that knows it"
        )
        return Check(name="name", found=f"{host} has no address here: {error}", remedy=f"{remedy} in HTTPS_PROXY")
    return Check(name="name", found=f"{host} is {', '.join(found)}")


def reachable(address: Address) -> Check:
    """Whether the hub's port can be connected to from here, without a proxy."""
    host, port = _ends(address.url)
    named = getproxies().get("https")
    said = f"; the proxy {without_secrets(named)} of the environment is not used for it" if named else ""
    try:
        _connected(address).close()
    except OSError as error:
        remedy = (
            f"let this machine call out to {host} port {port} by TCP, and see that the hub runs; where only a proxy "
            "may call out, name it in HTTPS_PROXY: http://HOST:PORT"
        )
        return Check(name="port", found=f"{host}:{port} cannot be reached: {error}{said}", remedy=remedy)
    return Check(name="port", found=f"{host}:{port} can be reached{said}")


def through(address: Address) -> Check:
    """Whether the proxy that the environment names leads to the hub's port."""
    (host, port), proxy = _ends(address.url), without_secrets(address.proxy or "")
    try:
        _connected(address).close()
    except OSError as error:
        remedy = f"have the proxy let this machine CONNECT to {host} port {port}; or name another in HTTPS_PROXY, with "
        remedy += f"http://USER:PASSWORD@HOST:PORT if it asks for that; or have {host} in NO_PROXY"
        return Check(name="proxy", found=f"{proxy} does not lead to {host}:{port}: {error}", remedy=remedy)
    return Check(name="proxy", found=f"{proxy} leads to {host}:{port}")


def shown(address: Address) -> Check:
    """Whether the hub's own certificate is shown, or that of a proxy that reads along and is trusted here."""
    host, _ = _ends(address.url)
    context = ssl.create_default_context(cafile=address.authorities)
    pinned = "" if address.authorities else address.certificate
    if pinned:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _connected(address) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
            data = secure.getpeercert(binary_form=True) or b""
    except OSError as error:
        remedy = f"have {host} excepted from TLS inspection, or give the CA file of whoever inspects it: ca_file"
        return Check(name="certificate", found=f"no certificate that is trusted here: {error}", remedy=remedy)
    got = sha256(data).hexdigest()
    if pinned and got != pinned:
        issuer = x509.load_der_x509_certificate(data).issuer.rfc4514_string()
        return Check(
            name="certificate",
            found=f"a certificate by {issuer!r:.200} is shown ({got}), not the one that the token named ({pinned})",
            remedy=f"have {host} excepted from TLS inspection, or give the CA file of whoever inspects it: ca_file; "
            "or the hub has a new certificate: ask for a new token",
        )
    trusted = f"trusted by {address.authorities}" if address.authorities else "trusted by this machine"
    return Check(name="certificate", found="the one that the token named" if pinned else trusted)


async def clock(session: aiohttp.ClientSession, address: Address) -> Check:
    """How far this machine's clock is from the hub's, which refuses requests of another time; to a second or so."""
    try:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with session.get(f"{address.url}/live", ssl=address.tls, proxy=address.proxy, timeout=timeout) as answer:
            ahead = apart(answer.headers["date"])
    except (aiohttp.ClientError, OSError, KeyError, ValueError) as error:
        found = f"the hub's time cannot be had: {error!r:.200}"
        return Check(name="clock", found=found, remedy="see whether a hub listens at that address, and nothing else")
    remedy = f"set the clock, e.g. by NTP; the hub tolerates {TOLERANCE // 1000} s" if abs(ahead) > LATE else ""
    return Check(name="clock", found=f"this machine is {ahead:+.0f} s from the hub", remedy=remedy)


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


def without_secrets(proxy: str) -> str:
    """A proxy as it may be shown.

    >>> without_secrets("http://ada:secret@proxy.example:3128")
    'http://proxy.example:3128'
    """
    scheme, _, rest = proxy.rpartition("://")
    return (f"{scheme}://" if scheme else "") + rest.rpartition("@")[2]


def _ends(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443


def _connected(address: Address) -> socket.socket:
    """A connection to the hub's port, as the node makes it; raises OSError."""
    ends = _ends(address.url)
    if address.proxy is None:
        return socket.create_connection(ends, PATIENCE)
    proxy = urlsplit(address.proxy)
    tunnel = HTTPConnection(proxy.hostname or "", proxy.port or 80, timeout=PATIENCE)
    secret = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
    headers = {"Proxy-Authorization": f"Basic {b64encode(secret.encode()).decode()}"} if proxy.username else {}
    tunnel.set_tunnel(*ends, headers=headers)
    try:
        tunnel.connect()
    except OSError:
        tunnel.close()
        raise
    except HTTPException as error:
        tunnel.close()
        raise OSError(f"it answers with what is no HTTP: {error!r:.100}") from error
    return tunnel.sock
