"""`comity data`: datasets, which stay where they are."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from comity.faces.cli.asking import Answer, allowed, asking, key_of, permissions
from comity.sdk.client import Client, Files
from comity.sdk.packing import pack
from comity.values.errors import InvalidInput
from comity.values.table import Table

app = typer.Typer(no_args_is_help=True, help="Register datasets, list them, and end their use.")


@app.command()
@asking
def add(
    client: Client,
    folders: Annotated[list[Path], typer.Argument(help="A folder for each data sample.")],
    opener: Annotated[Path, typer.Option(help="The Python file that reads samples.")],
    name: Annotated[str, typer.Option(help="What people call it.")],
    description: Annotated[Path | None, typer.Option(help="A file that says what the data are.")] = None,
    authorize: Annotated[str, typer.Option(help="Organizations that may use it, with commas between.")] = "",
    public: Annotated[bool, typer.Option("--public", help="Every organization may use it.")] = False,
    upload: Annotated[bool, typer.Option("--upload", help="Send copies, for a node on another machine.")] = False,
) -> Answer:
    """Register a dataset: an opener, and data samples, which stay in their folders at the node."""
    for folder in folders:
        if not folder.is_dir():
            raise InvalidInput(f"{folder} is no folder; a data sample is a folder of files")
    new = {"name": name, "permissions": permissions(authorize, public), "logs_permission": permissions("", False)}
    with TemporaryDirectory() as made:
        about = description or Path(made, "description.md")
        if description is None:
            about.write_text(f"# {name}\n")
        dataset = client.upload("/data_manager/", Files(new, [("data_opener", opener), ("description", about)]))
        given = {"data_manager_keys": [dataset["key"]]}
        try:
            if upload:
                packed = [(str(at), pack(folder, Path(made, f"{at}.tar"))) for at, folder in enumerate(folders)]
                samples = client.upload("/data_sample/", Files(given, packed))
            else:
                paths = [str(folder.resolve()) for folder in folders]
                samples = client.post("/data_sample/", {**given, "paths": paths})
        except BaseException:
            client.post(f"/data_manager/{dataset['key']}/withdraw/", {"reason": "its samples were not registered"})
            raise
    dataset["data_sample_keys"] = [each["key"] for each in samples]
    count = f"{len(samples)} data sample{'s' if len(samples) > 1 else ''}"
    return Answer(dataset, f"{name} {dataset['key']} with {count}")


@app.command("list")
@asking
def show(client: Client) -> Answer:
    """List the datasets that this organization knows of."""
    found = list(client.pages("/data_manager/"))
    rows = [
        (
            each["name"],
            each["key"],
            each["owner"],
            len(each["data_sample_keys"]),
            "withdrawn" if each["withdrawn_date"] else allowed(each),
        )
        for each in found
    ]
    return Answer(found, Table("Datasets", ("name", "key", "owner", "samples", "may use it"), rows))


@app.command()
@asking
def withdraw(
    client: Client,
    dataset: Annotated[str, typer.Argument(help="Its key or name.")],
    reason: Annotated[str, typer.Option(help="Kept in the log, where it can be redacted.")] = "",
) -> Answer:
    """Let no new task use a dataset; lists the models that were made from it before."""
    key = key_of(client, "data_manager", dataset)
    made = client.post(f"/data_manager/{key}/withdraw/", {"reason": reason})
    rows = [(each["key"], each["compute_task_key"], each["owner"]) for each in made["models"]]
    title = f"{dataset} is withdrawn; models that were made from it: {len(rows) or 'none'}"
    return Answer({"key": key, **made}, Table(title, ("model", "task", "at"), rows) if rows else title)
