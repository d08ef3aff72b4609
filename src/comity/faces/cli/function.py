"""`comity function`: what tasks run."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from comity.faces.cli.asking import Answer, allowed, asking, key_of, permissions
from comity.sdk.client import Client, Files
from comity.sdk.packing import pack
from comity.values.errors import DecodeError, InvalidInput
from comity.values.legible import legible
from comity.values.table import Table

app = typer.Typer(no_args_is_help=True, help="Register functions and list them.")

NAME = "function.json"


@app.command()
@asking
def add(
    client: Client,
    folder: Annotated[Path, typer.Argument(help="Python modules and a function.json.")],
    name: Annotated[str, typer.Option(help="What people call it.")],
    authorize: Annotated[str, typer.Option(help="Organizations that may use it, with commas between.")] = "",
    public: Annotated[bool, typer.Option("--public", help="Every organization may use it.")] = False,
) -> Answer:
    """Register a function: a folder of Python modules.

    Its function.json says where the function is, and what goes in and comes out:
    {"entry": "module:callable", "inputs": {NAME: {"kind": "ASSET_MODEL", "optional": true}, ...}, "outputs": ...}.
    Kinds are ASSET_DATA_MANAGER, ASSET_DATA_SAMPLE, ASSET_MODEL and ASSET_PERFORMANCE; a README.md describes it.
    `comity function lock` adds what has to be installed for it.
    """
    said = _said(folder)
    new = {
        "name": name,
        "permissions": permissions(authorize, public),
        "inputs": said.get("inputs", {}),
        "outputs": said.get("outputs", {}),
    }
    with TemporaryDirectory() as made:
        about = folder / "README.md"
        if not about.is_file():
            about = Path(made, "description.md")
            about.write_text(f"# {name}\n")
        archive = pack(folder, Path(made, "function.tar"))
        function = client.upload("/function/", Files(new, [("file", archive), ("description", about)]))
    return Answer(function, f"{name} {function['key']} of the archive sha256:{function['archive']['checksum']}")


@app.command("lock")
def lock_requirements(
    folder: Annotated[Path, typer.Argument(help="Python modules and a function.json.")],
) -> None:
    """Write into function.json what its modules import, at the versions installed here, and all that this needs.

    Wherever it runs it then finds exactly these; without them it finds what the node itself has.
    """
    from comity.faces.locking import lock

    for line in lock(folder / NAME):
        typer.echo(line)


@app.command("log")
@asking
def show_log(client: Client, function: Annotated[str, typer.Argument(help="Its key or name.")]) -> Answer:
    """Show why the build of a function failed."""
    key = key_of(client, "function", function)
    text = client.raw(f"/logs/{key}/file/").decode(errors="replace")
    return Answer({"function": key, "log": text}, legible(text))


@app.command("list")
@asking
def show(client: Client) -> Answer:
    """List the functions that this organization knows of."""
    found = list(client.pages("/function/"))
    rows = [
        (each["name"], each["key"], each["owner"], each["status"].removeprefix("FUNCTION_STATUS_"), allowed(each))
        for each in found
    ]
    return Answer(found, Table("Functions", ("name", "key", "owner", "status", "may use it"), rows))


def _said(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    if not path.is_file():
        raise InvalidInput(f'{folder} has no {NAME}; write one such as {{"entry": "model:train", "outputs": {{}}}}')
    try:
        said = json.loads(path.read_bytes())
    except ValueError as error:
        raise DecodeError(f"{path} is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise DecodeError(f'{path} is not like {{"entry": "model:train", "outputs": {{}}}}')
    return said
