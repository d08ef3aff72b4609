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

    given, place = _opened({"dir": directory, "host": host, "port": port, "url": url, "name": name})
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
    from comity.domain.joining import write_token

    _, place = _opened({"dir": directory})
    url = _url(place.folder)
    tokens = {name: write_token(place.invite(name, url=url, days=days)) for name in names}
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
    _, place = _opened({"dir": directory})
    _url(place.folder)
    place.remove(name, reason=reason)
    typer.echo(f"{name} is a member no more; to let it in again: comity hub invite {name}")


@app.command()
def close(directory: Directory = None, reason: Reason = "") -> None:
    """End the channel for good: nothing is written any more, everything stays to be read."""
    _, place = _opened({"dir": directory})
    _url(place.folder)
    place.close(reason=reason)
    typer.echo("The channel is closed.")


def _opened(flags: Mapping[str, Any]) -> tuple[HubSettings, Place]:
    from comity.faces.settings import HubSettings, settings
    from comity.hub.place import open_place

    given = settings(HubSettings, flags)
    certificate, key = given.certificate, given.certificate_key
    return given, open_place(given.dir, given.database, certificate=certificate, certificate_key=key)


def _url(folder: Path) -> str:
    path = folder / "url"
    if not path.exists():
        raise NotFound(f"the hub in {folder} was never started; start it first: comity hub start")
    return path.read_text()
