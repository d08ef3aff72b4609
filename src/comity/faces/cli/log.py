"""`comity log`: everything that organizations have said in a channel, and the proof that nobody changed it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from comity.faces.cli.asking import Answer, asking
from comity.sdk.client import Client
from comity.values.errors import NotFound
from comity.values.table import Table

app = typer.Typer(no_args_is_help=True, help="Read, export and verify the log of a channel.")

SHOWN = 100
"""Characters of an event in a table."""


@app.command()
@asking
def tail(
    client: Client,
    count: Annotated[int, typer.Option("-n", help="How many.", min=1, max=1000)] = 20,
    author: Annotated[str, typer.Option(help="Of this organization only.")] = "",
    kind: Annotated[str, typer.Option("--type", help="Of this type of event only, e.g. task_done.")] = "",
    about: Annotated[str, typer.Option(help="Entries in which this stands, e.g. a key.")] = "",
) -> Answer:
    """Show the last entries, the latest at the end."""
    found: list[dict[str, Any]] = []
    before = 2**53
    while before and len(found) < count:
        asked = {"before": before, "limit": count - len(found), "author": author, "type": kind, "about": about}
        page = client.get("/log/", **asked)
        found += page["results"]
        before = page["before"]
    found.reverse()
    rows = [(each["place"], each["date"], each["author"], _said(event)) for each in found for event in each["events"]]
    return Answer(found, Table("Log", ("place", "date", "author", "said"), rows))


@app.command()
@asking
def show(client: Client, place: Annotated[int, typer.Argument(help="As tail shows it.", min=0)]) -> Answer:
    """Show one entry in full."""
    found = client.get("/log/", before=place + 1, limit=1)["results"]
    if not found or found[0]["place"] != place:
        raise NotFound(f"the log has no entry {place} here")
    return Answer(found[0], json.dumps(found[0], indent=2))


@app.command()
@asking
def export(client: Client, file: Annotated[Path, typer.Argument(help="Written over, if it is there.")]) -> Answer:
    """Write the log to a file that others can verify: a line with the hub's checkpoint, and one for each entry."""
    from comity.faces import log_file

    with file.open("wb") as opened:
        size = log_file.write(client, opened)
    return Answer({"file": str(file), "size": size}, f"{file}: {size} entries")


@app.command()
@asking
def verify(
    client: Client,
    file: Annotated[Path | None, typer.Argument(help="As export wrote it; the node's own log without one.")] = None,
) -> Answer:
    """Recompute the whole log on this machine: signatures, chains, rules, roots, and what the hub signed."""
    from comity.faces import log_file, verified

    with TemporaryDirectory() as made:
        if file is None:
            file = Path(made, "log")
            with file.open("wb") as opened:
                log_file.write(client, opened)
        with log_file.opened(file) as (note, leaves):
            found = verified.verify(leaves, note)
    authors = ", ".join(f"{name} {count}" for name, count in sorted(found.authors.items()))
    text = f"{found.size} entries are in order, root {found.root}\nchannel {found.channel}\nsaid by: {authors}"
    return Answer({"verified": True, **asdict(found)}, text)


@app.command()
@asking
def redact(
    client: Client,
    texts: Annotated[list[str] | None, typer.Argument(help="Commitments, as export writes them.")] = None,
    entry: Annotated[list[int] | None, typer.Option(help="All texts of this entry; may be given again.")] = None,
) -> Answer:
    """Delete names, tags, metadata and reasons that this organization wrote, at every organization."""
    found = client.post("/log/redact/", {"texts": texts or [], "entries": entry or []})
    return Answer(found, f"{len(found['redacted'])} texts are deleted; what is left of them are their commitments.")


def _said(event: dict[str, Any]) -> str:
    rest = {name: value for name, value in event.items() if name != "type"}
    text = " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in rest.items())
    whole = f"{event['type']} {text}"
    return whole if len(whole) <= SHOWN else whole[: SHOWN - 3] + "..."
