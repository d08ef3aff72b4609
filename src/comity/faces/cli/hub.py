"""`comity hub`: the one machine whose port is open.

What a hub is made of is imported when a command runs, so that no other command waits for it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comity.faces.cli.show import json_line
from comity.values.errors import NotFound

if TYPE_CHECKING:
    from comity.faces.settings import HubSettings
    from comity.hub.desk import Order
    from comity.hub.place import Place

app = typer.Typer(no_args_is_help=True, help="Order the log of a network and relay its sealed blobs.")

Directory = Annotated[
    Path | None, typer.Option("--dir", help="Where the hub keeps everything; comity-hub unless given.")
]

Reason = Annotated[str, typer.Option(help="Kept in the log, where it can be redacted.")]


@app.command()
def start(
    directory: Directory = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; 0.0.0.0 unless given.")] = None,
    port: Annotated[int | None, typer.Option(help="The one open port, 7070 unless given; 0: any.")] = None,
    url: Annotated[str | None, typer.Option(help="How nodes reach it; https://THIS-MACHINE:PORT unless given.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the channel that the first start makes.")] = None,
) -> None:
    """Start the hub; the first start makes its keys, a certificate and the channel.

    Everything can be set in hub.toml of the directory and by COMITY_HUB_... in the environment too, and more.
    """
    from comity.adapters import folder
    from comity.adapters.listening import listen, port_of
    from comity.faces.settings import level
    from comity.hub.server import serve

    given = _settings({"dir": directory, "host": host, "port": port, "url": url, "name": name})
    place = _opened(given)
    listening = listen(given.host, given.port)
    public = given.url or f"https://{socket.getfqdn()}:{port_of(listening)}"
    folder.keep(place.folder / "url", public.encode())
    names = [public.split("//", 1)[-1].rsplit(":", 1)[0], "localhost", "127.0.0.1"]
    channel = place.ready(name=given.name, hosts=list(dict.fromkeys(names)))
    typer.echo(f"hub at {public}, channel {channel}; invite organizations with: comity hub invite NAME")
    serve(place, listening, limits=given.limits, log_level=level(given.log_level), ready=lambda: None)


@app.command()
def invite(
    names: Annotated[list[str], typer.Argument(help="Organizations, e.g. hospital-a.")],
    directory: Directory = None,
    days: Annotated[int, typer.Option(help="How long the tokens can be used.", min=1, max=365)] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print a token for each organization; its node joins with: comity node join TOKEN."""
    from comity.hub.desk import Invite

    given = _settings({"dir": directory})
    url = _url(given.dir)
    tokens = {name: _done(given, Invite(name, url, days)) for name in names}
    if as_json:
        typer.echo(json_line(tokens))
        return
    for name, token in tokens.items():
        typer.echo(f"{name}\n  comity node join {token}")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Organization, e.g. hospital-a.")],
    directory: Directory = None,
    reason: Reason = "",
) -> None:
    """Take an organization out of the channel; its open plans end, and it may be invited again."""
    from comity.hub.desk import Remove

    _done(_settings({"dir": directory}), Remove(name, reason))
    typer.echo(f"{name} is a member no more; to let it in again: comity hub invite {name}")


@app.command()
def close(directory: Directory = None, reason: Reason = "") -> None:
    """End the channel for good: nothing is written any more, everything stays to be read."""
    from comity.hub.desk import Close

    _done(_settings({"dir": directory}), Close(reason))
    typer.echo("The channel is closed.")


@app.command("raise")
def raise_rules(directory: Directory = None) -> None:
    """Let the channel go on by the newest rules that every member knows, once all programs are upgraded."""
    from comity.hub.desk import Raise

    version = _done(_settings({"dir": directory}), Raise())
    typer.echo(
        f"The channel goes by version {version} of the rules; a node that knows older ones alone follows no more."
    )


def _settings(flags: Mapping[str, Any]) -> HubSettings:
    from comity.faces.settings import HubSettings, settings

    return settings(HubSettings, flags)


def _opened(given: HubSettings) -> Place:
    from comity.hub.place import open_place

    certificate, key = given.certificate, given.certificate_key
    return open_place(given.dir, given.database, certificate=certificate, certificate_key=key)


def _done(given: HubSettings, order: Order) -> str:
    """What came of an order at a hub, whether it runs or not."""
    from comity.hub.desk import have_done

    _url(given.dir)
    return have_done(given.dir, order, lambda: _opened(given))


def _url(folder: Path) -> str:
    path = folder / "url"
    if not path.exists():
        raise NotFound(f"the hub in {folder} was never started; start it first: comity hub start")
    return path.read_text()
