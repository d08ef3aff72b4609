"""`comity up`: hub and nodes of a whole network, in one terminal and one folder."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from comity.adapters import folder
from comity.adapters.environments.builds import Builds
from comity.adapters.listening import listen, port_of
from comity.domain.joining import Token, read_token, write_token
from comity.faces.network.forked import Forked, Report
from comity.faces.web.dress import dress
from comity.hub import place as hub_place
from comity.hub import server as hub_server
from comity.hub.limits import Limits
from comity.node import place as node_place
from comity.node import server as node_server
from comity.node.judging import Approve
from comity.node.node import join
from comity.node.opaque import Opaque
from comity.node.way import Way
from comity.values.errors import Conflict, InvalidInput

LOCAL = "127.0.0.1"

SECONDS = 60.0
"""How long a program may take to start."""


@final
@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A network of one machine."""

    folder: Path
    organizations: Sequence[str]
    port: int = 0
    """Of the first node; the others follow. 0 lets the system choose."""
    tasks: int = 1
    """How many run at once at each node."""
    approve: Approve = "allow"
    """Whether functions of others wait for a steward."""
    opaque: Opaque = "allow"
    """Whether functions with files that nobody can read may run."""
    builds: Builds = Builds()  # noqa: RUF009 frozen
    """How each node comes by the environments of tasks."""


def start(network: Embedded) -> tuple[Forked, Mapping[str, Any]]:
    """(the programs, what `--json` prints) once every node has had a write accepted."""
    _check(network)
    here = folder.private(network.folder)
    try:
        held = folder.lock(here)
    except Conflict:
        raise Conflict(f"a network is running in {network.folder} already{_running(here)}") from None
    try:
        _check_known(here / "hub", network)
    except Conflict:
        held.close()
        raise
    forked = Forked(held=held)
    gc.freeze()  # what was loaded is shared by all; the collector must not touch its pages
    forked.start("hub", _hub(here / "hub", network.organizations))
    try:
        hub = forked.wait_for("hub", SECONDS)
        for position, name in enumerate(network.organizations):
            port = network.port + position if network.port else 0
            forked.start(name, _node(here / name, hub["tokens"][name], port, network))
        nodes = [forked.wait_for(name, SECONDS) for name in network.organizations]
    except BaseException:
        forked.stop()
        raise
    return forked, {"hub": hub["url"], "nodes": nodes}


def _running(here: Path) -> str:
    """Where its nodes are, by the ports that they have kept."""
    ports = {path.parent.name: path.read_text() for path in sorted(here.glob("*/port"))}
    nodes = [f"{name} http://{LOCAL}:{port}" for name, port in ports.items() if name != "hub"]
    return f"{': ' if nodes else ''}{', '.join(nodes)}; use it, stop it, or give another --dir"


def _check(network: Embedded) -> None:
    names = list(network.organizations)
    double = next((name for name in names if names.count(name) > 1), None)
    if double or not names:
        raise InvalidInput(f"two organizations are called {double}" if double else "a network needs an organization")
    for name in names:
        if name == hub_place.FOUNDER or not name.isascii() or not name.replace("-", "a").replace("_", "a").isalnum():
            raise InvalidInput(f"an organization cannot be called {name!r}; use letters, digits, - and _, not 'hub'")


def _check_known(hub: Path, network: Embedded) -> None:
    """Raise Conflict for new organizations beside which others of this folder are missing: the hub waits for these."""
    known = {path.name for path in (hub / "tokens").glob("*")}
    new, missing = set(network.organizations) - known, known - set(network.organizations)
    if new and missing:
        raise Conflict(
            f"{network.folder} has a network of {', '.join(sorted(known))}: start {', '.join(sorted(missing))} with it "
            f"to let {', '.join(sorted(new))} in, or give another --dir"
        )


def _hub(here: Path, organizations: Sequence[str]) -> Callable[[Report], None]:
    def program(report: Report) -> None:
        place = hub_place.open_place(here)
        listening = listen(LOCAL, _port(here, 0))
        folder.keep(here / "port", str(port_of(listening)).encode())
        url = f"https://{LOCAL}:{port_of(listening)}"
        place.ready(name="embedded network", hosts=[LOCAL, "localhost"])
        tokens = {name: _token(place, here, name, url) for name in organizations}
        hub_server.serve(
            place,
            listening,
            ready=lambda: report({"url": url, "tokens": tokens}),
            limits=Limits(),
            log_level=logging.WARNING,
        )

    return program


def _token(place: hub_place.Place, here: Path, name: str, url: str) -> str:
    """The organization's token, made once."""
    path = here / "tokens" / name
    return folder.secret(path, lambda: write_token(place.invite(name, url=url)).encode()).decode()


def _node(here: Path, token: str, port: int, network: Embedded) -> Callable[[Report], None]:
    def program(report: Report) -> None:
        place = node_place.open_place(here)
        invited: Token = read_token(token)
        if invited.organization not in place.channels().values():
            asyncio.run(join(place, invited))
        listening = listen(LOCAL, port or _port(here, 0))
        folder.keep(here / "port", str(port_of(listening)).encode())
        said = {
            "organization": invited.organization,
            "url": f"http://{LOCAL}:{port_of(listening)}",
            "user": "admin",
            "password": _password(place),
        }
        way = Way(
            tasks=network.tasks,
            approve=network.approve,
            opaque=network.opaque,
            sample_roots=[Path("/")],
            builds=network.builds,
            log_level=logging.WARNING,
        )
        node_server.serve(place, listening, way, ready=lambda: report(said), dress=dress)

    return program


def _password(place: node_place.Place) -> str:
    """The first admin's password, made once and kept beside the node."""
    path = place.folder / "admin-password"
    if not path.exists():
        for channel in place.channels():
            made = place.accounts.first_admin(channel)
            if made is not None:
                folder.keep(path, made.encode())
    return path.read_text() if path.exists() else ""


def _port(here: Path, default: int) -> int:
    """The port it had before, since others know it by that."""
    path = here / "port"
    return int(path.read_text()) if path.exists() else default
