"""`comity hub`: the one machine whose port is open.

What a hub is made of is imported when a command runs, so that no other command waits for it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from comity.faces.cli.show import json_line
from comity.values.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="Order the log of a network and relay its sealed blobs.")

Directory = Annotated[Path, typer.Option("--dir", help="Where the hub keeps everything.")]

Reason = Annotated[str, typer.Option(help="Kept in the log, where it can be redacted.")]

HERE = Path("comity-hub")


@app.command()
def start(
    directory: Directory = HERE,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="The one open port; 0 lets the system choose.")] = 7070,
    url: Annotated[str, typer.Option(help="How nodes reach it; https://THIS-MACHINE:PORT unless given.")] = "",
    name: Annotated[str, typer.Option(help="Of the channel that the first start makes.")] = "comity",
) -> None:
    """Start the hub; the first start makes its keys, a certificate and the channel.

    A certificate of your own goes into tls.crt and tls.key of the directory before the first start.
    """
    from comity.adapters import folder
    from comity.adapters.listening import listen, port_of
    from comity.hub.place import open_place
    from comity.hub.server import serve

    place = open_place(directory.absolute())
    listening = listen(host, port)
    public = url or f"https://{socket.getfqdn()}:{port_of(listening)}"
    folder.keep(place.folder / "url", public.encode())
    names = [public.split("//", 1)[-1].rsplit(":", 1)[0], "localhost", "127.0.0.1"]
    channel = place.ready(name=name, hosts=list(dict.fromkeys(names)))
    typer.echo(f"hub at {public}, channel {channel}; invite organizations with: comity hub invite NAME")
    serve(place, listening, ready=lambda: None)


@app.command()
def invite(
    names: Annotated[list[str], typer.Argument(help="Organizations, e.g. hospital-a.")],
    directory: Directory = HERE,
    days: Annotated[int, typer.Option(help="How long the tokens can be used.", min=1, max=365)] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print a token for each organization; its node joins with: comity node join TOKEN."""
    from comity.domain.joining import write_token
    from comity.hub.place import open_place

    place = open_place(directory.absolute())
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
    directory: Directory = HERE,
    reason: Reason = "",
) -> None:
    """Take an organization out of the channel; its open plans end, and it may be invited again."""
    from comity.hub.place import open_place

    place = open_place(directory.absolute())
    _url(place.folder)
    place.remove(name, reason=reason)
    typer.echo(f"{name} is a member no more; to let it in again: comity hub invite {name}")


@app.command()
def close(directory: Directory = HERE, reason: Reason = "") -> None:
    """End the channel for good: nothing is written any more, everything stays to be read."""
    from comity.hub.place import open_place

    place = open_place(directory.absolute())
    _url(place.folder)
    place.close(reason=reason)
    typer.echo("The channel is closed.")


def _url(folder: Path) -> str:
    path = folder / "url"
    if not path.exists():
        raise NotFound(f"the hub in {folder} was never started; start it first: comity hub start")
    return path.read_text()
