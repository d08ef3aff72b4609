"""`comity node`: an organization's server.

What a node is made of is imported when a command runs, so that no other command waits for it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comity.faces.cli import installing, users
from comity.faces.cli.installing import Index, Wheels
from comity.faces.cli.users import Directory, opened, place_of, settings_of

if TYPE_CHECKING:
    from comity.node.place import Place

app = typer.Typer(no_args_is_help=True, help="Run an organization's server: its data, its tasks, its users.")
app.add_typer(users.app, name="users")


@app.command()
def join(
    token: Annotated[str, typer.Argument(help="As the hub printed it.")],
    directory: Directory = None,
) -> None:
    """Make this node's keys and enrol them; may be repeated when it was interrupted."""
    from comity.domain.joining import read_token
    from comity.node import node

    given = settings_of(directory)
    place = opened(given)
    invited = read_token(token)
    asyncio.run(node.join(place, invited))
    typer.echo(f"{invited.organization} has joined the channel {invited.channel} at {invited.url}.")
    _show_first_password(place)
    typer.echo(f"Start the node with: comity node start --dir {given.dir}")


@app.command()
def start(
    directory: Directory = None,
    host: Annotated[
        str | None, typer.Option(help="Address that the organization's own users call; 127.0.0.1 unless given.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of REST and pages, 8000 unless given; 0: any.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="A folder below which data samples may lie; may be given again.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="How many tasks run at once; 2 unless given.")] = None,
    index: Index = None,
    wheels: Wheels = None,
) -> None:
    """Start the node; it calls out to the hub and listens to the organization's own users only.

    Everything can be set in node.toml of the directory and by COMITY_NODE_... in the environment too, and more.
    """
    from comity.adapters.listening import listen, port_of
    from comity.faces.settings import NodeSettings, level, settings
    from comity.faces.web.dress import dress
    from comity.node.server import serve
    from comity.node.way import Way

    folders = [each.absolute() for each in data] if data else None
    flags = {"dir": directory, "host": host, "port": port, "data": folders, "tasks": tasks}
    given = settings(NodeSettings, {**flags, "builds": installing.given(index, wheels)})
    place = place_of(given)
    _show_first_password(place)
    listening = listen(given.host, given.port)
    called = ", ".join(sorted(set(place.channels().values())))
    url = f"http://{given.host}:{port_of(listening)}"
    way = Way(
        tasks=given.tasks,
        opaque=given.opaque,
        sample_roots=given.data,
        builds=given.builds,
        sandbox=given.sandbox,
        log_level=level(given.log_level),
    )
    dressed = partial(dress, playground=given.playground)
    serve(place, listening, way, ready=lambda: typer.echo(f"{called} at {url}"), dress=dressed)


@app.command("reset-password")
def reset_password(
    user: Annotated[str, typer.Argument(help="As comity node users list shows it.")],
    directory: Directory = None,
) -> None:
    """Give a user a new password and print it, once; ends all that the user's tokens open."""
    from comity.adapters import folder
    from comity.node.accounts.passwords import new_password

    place = place_of(settings_of(directory))
    password = new_password()
    place.accounts.set_password(user, password)
    kept = place.folder / "admin-password"
    if user == "admin" and kept.exists():
        folder.keep(kept, password.encode())  # comity up prints it at every start
    typer.echo(f"{user} has the password {password}, which is not shown again.")


@app.command()
def rotate(directory: Directory = None) -> None:
    """Replace this node's keys in every channel, while it is stopped; may be repeated when it was interrupted."""
    from comity.node import rotating

    given = settings_of(directory)
    place = place_of(given)
    keys = asyncio.run(rotating.rotate(place)).public
    typer.echo(f"This node signs with {keys.signing} from here on; start it again: comity node start --dir {given.dir}")


def _show_first_password(place: Place) -> None:
    for channel in place.channels():
        password = place.accounts.first_admin(channel)
        if password is not None:
            typer.echo(f"The first user is admin with the password {password}, which is not shown again.")
