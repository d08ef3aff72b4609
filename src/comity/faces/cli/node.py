"""`comity node`: an organization's server.

What a node is made of is imported when a command runs, so that no other command waits for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comity.faces.cli import users
from comity.faces.cli.installing import Index, Wheels, builds
from comity.faces.cli.users import HERE, Directory, place_of

if TYPE_CHECKING:
    from comity.node.place import Place

app = typer.Typer(no_args_is_help=True, help="Run an organization's server: its data, its tasks, its users.")
app.add_typer(users.app, name="users")


@app.command()
def join(
    token: Annotated[str, typer.Argument(help="As the hub printed it.")],
    directory: Directory = HERE,
) -> None:
    """Make this node's keys and enrol them; may be repeated when it was interrupted."""
    from comity.domain.joining import read_token
    from comity.node import node
    from comity.node.place import open_place

    place = open_place(directory.absolute())
    invited = read_token(token)
    asyncio.run(node.join(place.database, place.identity, invited))
    typer.echo(f"{invited.organization} has joined the channel {invited.channel} at {invited.url}.")
    _show_first_password(place)
    typer.echo(f"Start the node with: comity node start --dir {directory}")


@app.command()
def start(
    directory: Directory = HERE,
    host: Annotated[str, typer.Option(help="Address that the organization's own users call.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of REST and pages; 0 lets the system choose.")] = 8000,
    data: Annotated[
        list[Path] | None, typer.Option(help="A folder below which data samples may lie; may be given again.")
    ] = None,
    tasks: Annotated[int, typer.Option(help="How many tasks run at once.", min=1, max=1000)] = 2,
    index: Index = None,
    wheels: Wheels = None,
) -> None:
    """Start the node; it calls out to the hub and listens to the organization's own users only."""
    from comity.adapters.listening import listen, port_of
    from comity.node.server import serve
    from comity.node.way import Way

    place = place_of(directory)
    _show_first_password(place)
    listening = listen(host, port)
    called = ", ".join(sorted(set(place.channels().values())))
    url = f"http://{host}:{port_of(listening)}"
    serve(
        place,
        listening,
        Way(
            tasks=tasks,
            sample_roots=[each.absolute() for each in data or []],
            builds=builds(index, wheels),
        ),
        ready=lambda: typer.echo(f"{called} at {url}"),
    )


@app.command("reset-password")
def reset_password(
    user: Annotated[str, typer.Argument(help="As comity node users list shows it.")],
    directory: Directory = HERE,
) -> None:
    """Give a user a new password and print it, once; ends all that the user's tokens open."""
    from comity.adapters import folder
    from comity.node.accounts.passwords import new_password

    place = place_of(directory)
    password = new_password()
    place.accounts.set_password(user, password)
    kept = place.folder / "admin-password"
    if user == "admin" and kept.exists():
        folder.keep(kept, password.encode())  # comity up prints it at every start
    typer.echo(f"{user} has the password {password}, which is not shown again.")


@app.command()
def rotate(directory: Directory = HERE) -> None:
    """Replace this node's keys in every channel, while it is stopped; may be repeated when it was interrupted."""
    from comity.node import rotating

    place = place_of(directory)
    keys = asyncio.run(rotating.rotate(place)).public
    typer.echo(f"This node signs with {keys.signing} from here on; start it again: comity node start --dir {directory}")


def _show_first_password(place: Place) -> None:
    for channel in place.channels():
        password = place.accounts.first_admin(channel)
        if password is not None:
            typer.echo(f"The first user is admin with the password {password}, which is not shown again.")
