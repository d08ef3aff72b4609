"""`comity up`: a whole network in one terminal."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from comity.faces.cli.installing import Index, Wheels, builds
from comity.faces.cli.show import json_line
from comity.node.opaque import Opaque
from comity.values.errors import InvalidInput

if TYPE_CHECKING:
    from comity.node.building import Approve


def command(
    organizations: Annotated[int | None, typer.Option(help="How many, called org1 ... orgN.", min=1, max=64)] = None,
    names: Annotated[str | None, typer.Option(help="Their names, with commas between.")] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Where everything is kept.")] = Path(".comity"),
    port: Annotated[int, typer.Option(help="Of the first node; the others follow. 0: the system chooses.")] = 0,
    ask: Annotated[bool, typer.Option("--ask", help="Functions of others wait for: comity approve.")] = False,
    opaque: Annotated[
        Opaque | None,
        typer.Option(help="Functions with files that nobody can read: let in unless told, with --ask a steward's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when ready.")] = False,
    attached: Annotated[bool, typer.Option("--attached", help="End when standard input is closed.")] = False,
    index: Index = None,
    wheels: Wheels = None,
) -> None:
    """Start a hub and its nodes on this machine; Ctrl-C stops them, the next start goes on."""
    from comity.faces.network.up import Embedded, start

    if organizations is not None and names is not None:
        raise InvalidInput("give --organizations or --names, not both")
    called = names.split(",") if names else [f"org{number}" for number in range(1, (organizations or 4) + 1)]
    signal.signal(signal.SIGTERM, _end)
    approve: Approve = "ask" if ask else "allow"
    network = Embedded(
        folder=directory.absolute(),
        organizations=called,
        port=port,
        approve=approve,
        opaque=opaque or approve,
        builds=builds(index, wheels),
    )
    forked, said = start(network)
    try:
        if as_json:
            typer.echo(json_line(said))
        else:
            typer.echo(f"hub    {said['hub']}")
            for node in said["nodes"]:
                typer.echo(f"{node['organization']:<6} {node['url']}  user {node['user']}  password {node['password']}")
            typer.echo(f"Everything is kept in {directory}. Ctrl-C stops the network.")
        forked.watch(sys.stdin.fileno() if attached else None)
    finally:
        forked.stop()


def _end(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
