"""`comity data`: datasets, which stay where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comity.faces.cli.asking import Answer, allowed, asking, key_of, permissions
from comity.sdk import datasets
from comity.sdk.client import Client
from comity.sdk.datasets import NewDataset
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
    logs: Annotated[str, typer.Option(help="Organizations that may read the logs of tasks on it.")] = "",
    upload: Annotated[bool, typer.Option("--upload", help="Send copies, for a node on another machine.")] = False,
) -> Answer:
    """Register a dataset: an opener, and data samples, which stay in their folders at the node."""
    dataset = datasets.add(
        client,
        NewDataset(
            name=name,
            opener=opener,
            folders=folders,
            description=description,
            permissions=permissions(authorize, public),
            logs=permissions(logs, False),
            upload=upload,
        ),
    )
    samples = dataset["data_sample_keys"]
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
