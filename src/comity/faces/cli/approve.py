"""`comity approve`: what functions of other organizations would do here, and this organization's word on them."""

from __future__ import annotations

from difflib import unified_diff
from typing import Annotated, Any

import typer

from comity.faces.cli.asking import Answer, asking, key_of
from comity.sdk.client import Client
from comity.values.errors import InvalidInput
from comity.values.legible import legible
from comity.values.table import Table

STANDS = {None: "waits for you", True: "approved", False: "refused"}


@asking
def command(
    client: Client,
    function: Annotated[str, typer.Argument(help="Its key or name; all that wait are listed without one.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Approve without being asked.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse it; tasks that wait for it fail.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show what it does.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is refused; kept in the log.")] = "",
) -> Answer:
    """Show a function's source, and what changed since you approved the last of its name; then approve or refuse.

    The word is on the archive, by its digest: another version waits again.
    """
    if not function:
        return _listed(client)
    if sum((yes, refuse, show)) > 1:
        raise InvalidInput("give one of --yes, --refuse and --show")
    key = key_of(client, "function", function)
    if refuse:
        client.post(f"/function/{key}/refuse/", {"reason": reason})
        return Answer({"function": key, "approved": False}, f"{function} is refused here.")
    if not yes:
        review = client.get(f"/function/{key}/review/")
        text = _text(review)
        if show:
            return Answer({**review, "difference": _difference(review)}, text)
        typer.echo(legible(text), err=True)
        typer.confirm("Let it run on this organization's data?", abort=True, err=True)
    client.post(f"/function/{key}/approve/")
    return Answer({"function": key, "approved": True}, f"{function} may run here.")


def _listed(client: Client) -> Answer:
    found = list(client.pages("/approval/"))
    rows = [
        (
            each["function"]["name"],
            each["function"]["key"],
            each["function"]["owner"],
            STANDS[each["approved"]] + (f" by {each['by']}" if each["by"] else ""),
            each["waiting_tasks"],
        )
        for each in found
    ]
    columns = ("name", "key", "of", "stands", "tasks waiting")
    return Answer(found, Table("Functions of other organizations", columns, rows))


def _text(review: dict[str, Any]) -> str:
    function, before = review["function"], review["before"]
    head = f"{function['name']} of {function['owner']}, archive sha256:{function['archive']['checksum']}\n"
    source = "".join(f"\n--- {name}\n{text}" for name, text in review["files"].items())
    if locked := review.get("locked"):
        source += f"\n=== Its owner's node installed for it\n{' '.join(locked)}\n"
    if before is None:
        return f"{head}Nothing of this name was approved before.\n{source}"
    changes = _difference(review) or "(none: only names or order differ)\n"
    return f"{head}{source}\n=== Changes since {before['function']['key']}, which you approved\n{changes}"


def _difference(review: dict[str, Any]) -> str:
    """Line by line, since the last one that was approved."""
    before: dict[str, str] = (review["before"] or {"files": {}})["files"]
    after: dict[str, str] = review["files"]
    return "".join(
        each if each.endswith("\n") else each + "\n"
        for name in sorted({*before, *after})
        for each in unified_diff(
            before.get(name, "").splitlines(keepends=True),
            after.get(name, "").splitlines(keepends=True),
            f"before/{name}",
            f"after/{name}",
        )
    )
