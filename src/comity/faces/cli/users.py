"""`comity node users`: who may use an organization's server, set on its own host."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comity.faces.cli.show import json_line, printer, terminal_table
from comity.values.errors import InvalidInput, NotFound
from comity.values.table import Table

if TYPE_CHECKING:
    from comity.faces.settings import NodeSettings
    from comity.node.accounts.people import User
    from comity.node.place import Place

app = typer.Typer(no_args_is_help=True, help="List, add and remove the users of this node.")

Directory = Annotated[
    Path | None, typer.Option("--dir", help="Where the node keeps everything; comity-node unless given.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def place_of(given: NodeSettings) -> Place:
    """The node of these settings; raises NotFound for one that is in no channel yet."""
    if (given.dir / "node.key").exists():
        place = opened(given)
        if place.channels():
            return place
    raise NotFound(f"the node in {given.dir} is in no channel yet; join one first: comity node join TOKEN")


def opened(given: NodeSettings) -> Place:
    """The node of these settings, made if there is none."""
    from comity.node.place import open_place

    return open_place(given.dir, given.database, authorities=given.ca_file)


def settings_of(directory: Path | None) -> NodeSettings:
    """What is set for the node in this folder."""
    from comity.faces.settings import NodeSettings, settings

    return settings(NodeSettings, {"dir": directory})


@app.command("list")
def listed(directory: Directory = None, as_json: Json = False) -> None:
    """List the users of every channel that this node is in."""
    found = _users(place_of(settings_of(directory)))
    if as_json:
        typer.echo(json_line([_shown(each) for each in found]))
        return
    rows = [(each.username, each.role.value, each.channel) for each in found]
    printer().print(terminal_table(Table("Users", ("name", "role", "channel"), rows)))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="With which the user logs in.")],
    role: Annotated[str, typer.Option(help="admin, scientist, steward or auditor.")],
    directory: Directory = None,
    channel: Annotated[int, typer.Option(help="As the list shows it; needed in several channels.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Add a user and print the password, once."""
    from comity.node.accounts.passwords import new_password
    from comity.node.accounts.roles import role_named

    place = place_of(settings_of(directory))
    known = place.channels()
    if (not channel and len(known) > 1) or (channel and channel not in known):
        raise InvalidInput(f"give one of this node's channels with --channel: {', '.join(map(str, known))}")
    password = new_password()
    made = place.accounts.add(channel or next(iter(known)), name, password=password, role=role_named(role))
    if as_json:
        typer.echo(json_line({**_shown(made), "password": password}))
    else:
        typer.echo(f"{name} is {made.role.value} with the password {password}, which is not shown again.")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="As the list shows it.")], directory: Directory = None) -> None:
    """Remove a user and all that the user's tokens open."""
    place = place_of(settings_of(directory))
    found = next((each for each in _users(place) if each.username == name), None)
    if found is None:
        raise NotFound(f"there is no user {name!r:.120} on this node; see who there is with: comity node users list")
    place.accounts.delete(found.channel, name)
    typer.echo(f"{name} is a user no more.")


def _users(place: Place) -> list[User]:
    return [user for channel in place.channels() for user in place.accounts.users(channel)]


def _shown(user: User) -> dict[str, Any]:
    return {**asdict(user), "role": user.role.value}
