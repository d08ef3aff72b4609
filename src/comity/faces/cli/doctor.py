"""`comity doctor`: what keeps a node from working, and what to do about it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from comity.faces.cli.show import json_line
from comity.faces.cli.users import Directory, place_of, settings_of
from comity.values.legible import legible

if TYPE_CHECKING:
    from comity.node.checks import Check
    from comity.node.place import Place


def command(
    directory: Directory = None,
    hold: Annotated[float, typer.Option(help="Seconds for which the hub is asked to hold a request.", max=25)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Check disk, keys, and the way to the hub: name, port, certificate, clock, held requests. 1 if there is a problem.

    The node may run meanwhile. It takes as long as the hub is asked to hold a request.
    """
    found = asyncio.run(_checked(place_of(settings_of(directory)), hold, show=not as_json))
    if as_json:
        typer.echo(json_line([{**asdict(each), "ok": not each.remedy} for each in found]))
    if any(each.remedy for each in found):
        raise typer.Exit(1)


async def _checked(place: Place, hold: float, *, show: bool) -> list[Check]:
    from comity.node.checks import checks

    found: list[Check] = []
    async for each in checks(place, hold=hold):
        found.append(each)
        if show:
            typer.echo(f"{'problem' if each.remedy else 'ok':<8}{each.name:<12}{legible(each.found)}")
            if each.remedy:
                typer.echo(f"{'':<20}-> {each.remedy}")
    return found
