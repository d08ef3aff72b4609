"""`comity playground`: sliders that deal patients to hospitals, in a browser on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from comity.faces.cli.show import json_line


def command(
    port: Annotated[int, typer.Option(help="Port at 127.0.0.1; 0: the system chooses.", min=0, max=65535)] = 0,
    processes: Annotated[int, typer.Option(help="How many train at once.", min=1, max=64)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when ready.")] = False,
) -> None:
    """Serve the playground alone, without a network, until Ctrl-C; it prints its address."""
    from comity.adapters.listening import listen, port_of
    from comity.faces.playground.alone import serve
    from comity.faces.playground.limits import Limits

    listening = listen("127.0.0.1", port)
    url = f"http://127.0.0.1:{port_of(listening)}/playground"
    said = json_line({"url": url}) if as_json else f"{url}\nCtrl-C ends it."
    serve(listening, Limits(processes=processes), ready=lambda: typer.echo(said))
