"""`comity log`: everything that organizations have said in a channel, and the proof that nobody changed it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Annotated, Any

import typer

from comity.faces.cli.asking import Answer, asking
from comity.faces.client import Client
from comity.values.errors import DecodeError, NotFound
from comity.values.table import Table

app = typer.Typer(no_args_is_help=True, help="Read, export and verify the log of a channel.")

SHOWN = 100
"""Characters of an event in a table."""

STEP = 500
"""Leaves that are fetched at once."""


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
    with file.open("wb") as opened:
        size = _export(client, opened)
    return Answer({"file": str(file), "size": size}, f"{file}: {size} entries")


@app.command()
@asking
def verify(
    client: Client,
    file: Annotated[Path | None, typer.Argument(help="As export wrote it; the node's own log without one.")] = None,
) -> Answer:
    """Recompute the whole log on this machine: signatures, chains, rules, roots, and what the hub signed."""
    from comity.faces import verified

    with TemporaryDirectory() as made:
        if file is None:
            file = Path(made, "log")
            with file.open("wb") as opened:
                _export(client, opened)
        with _lines(file) as (note, leaves):
            found = verified.verify(leaves, note)
    authors = ", ".join(f"{name} {count}" for name, count in sorted(found.authors.items()))
    text = f"{found.size} entries are in order, root {found.root}\nchannel {found.channel}\nsaid by: {authors}"
    return Answer({"verified": True, **asdict(found)}, text)


def _export(client: Client, file: IO[bytes]) -> int:
    """The checkpoint comes first, so that a log that grows meanwhile still ends where it does."""
    import msgspec

    class Piece(msgspec.Struct):
        results: list[msgspec.Raw]

    note: str = client.get("/log/checkpoint/")["checkpoint"]
    size = _size(note)
    file.write(json.dumps({"checkpoint": note}).encode() + b"\n")
    at = 0
    while at < size:
        body = client.raw(f"/log/leaves/?start={at}&limit={min(STEP, size - at)}")
        leaves = msgspec.json.decode(body, type=Piece).results
        if not leaves:
            raise DecodeError(f"the node shows {at} of the {size} entries that the hub signed")
        file.writelines(bytes(each) + b"\n" for each in leaves)
        at += len(leaves)
    return size


def _size(note: str) -> int:
    """Of the log that a checkpoint is of; its signature is verified later."""
    lines = note.split("\n")
    if len(lines) < 3 or not lines[1].isdigit():
        raise NotFound("this node has no checkpoint of the hub yet; try again")
    return int(lines[1])


@contextmanager
def _lines(file: Path) -> Generator[tuple[str, Iterator[tuple[bytes, Any]]]]:
    with file.open("rb") as opened:
        try:
            note = str(json.loads(opened.readline())["checkpoint"])
        except (ValueError, KeyError, TypeError) as error:
            raise DecodeError(f"{file} does not begin as comity log export writes it") from error
        yield note, _leaves(opened)


def _leaves(lines: Iterable[bytes]) -> Iterator[tuple[bytes, Any]]:
    import msgspec

    class Delivered(msgspec.Struct):
        leaf: msgspec.Raw
        texts: dict[str, tuple[str, str]] = {}

    for number, text in enumerate(lines):
        try:
            delivered = msgspec.json.decode(text, type=Delivered)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise DecodeError(f"entry {number} cannot be read: {error}") from error
        yield bytes(delivered.leaf), delivered.texts


def _said(event: dict[str, Any]) -> str:
    rest = {name: value for name, value in event.items() if name != "type"}
    text = " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in rest.items())
    whole = f"{event['type']} {text}"
    return whole if len(whole) <= SHOWN else whole[: SHOWN - 3] + "..."
