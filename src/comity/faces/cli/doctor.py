"""`comity doctor`: what keeps a node from working, and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from comity.faces.cli.show import json_line
from comity.faces.cli.users import Directory, place_of, settings_of
from comity.values.legible import legible

if TYPE_CHECKING:
    from comity.faces.settings import NodeSettings
    from comity.node.checks import Check


def command(
    token: Annotated[str, typer.Argument(help="Of a hub that could not be joined.")] = "",
    directory: Directory = None,
    hold: Annotated[float, typer.Option(help="Seconds for which the hub is asked to hold a request.", max=25)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Check disk, sandbox, keys, and the way to the hub: name, port, proxy, certificate, clock, held requests.

    Ends with 1 for a problem. The node may run meanwhile. It takes as long as the hub is asked to hold a request.
    """
    found = asyncio.run(_shown(_checks(settings_of(directory), token, hold), show=not as_json))
    if as_json:
        typer.echo(json_line([{**asdict(each), "ok": not each.remedy} for each in found]))
    if any(each.remedy for each in found):
        raise typer.Exit(1)


async def _checks(given: NodeSettings, token: str, hold: float) -> AsyncIterator[Check]:
    import aiohttp

    from comity.domain.joining import read_token
    from comity.node.address import Address
    from comity.node.checks import checks, way

    if not token:
        async for each in checks(place_of(given), given.sandbox, hold=hold):
            yield each
        return
    hub = read_token(token)
    async with aiohttp.ClientSession() as session:
        async for each in way(session, Address(hub.url, hub.certificate, given.ca_file)):
            yield each


async def _shown(checks: AsyncIterator[Check], *, show: bool) -> list[Check]:
    found: list[Check] = []
    async for each in checks:
        found.append(each)
        if show:
            typer.echo(f"{'problem' if each.remedy else 'ok':<8}{each.name:<12}{legible(each.found)}")
            if each.remedy:
                typer.echo(f"{'':<20}-> {each.remedy}")
    return found
