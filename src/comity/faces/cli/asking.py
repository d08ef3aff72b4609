"""Commands that ask a node: which one, as whom, and how the answer is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, final

import typer

from comity.faces.cli.show import json_line, line, printer, terminal_table
from comity.sdk.client import Account, Client, embedded
from comity.values.errors import Conflict, InvalidInput, NotFound
from comity.values.legible import legible
from comity.values.table import Table


@final
@dataclass(frozen=True)
class Answer:
    """What a command found or did."""

    value: Any
    """Printed with --json."""
    shown: Table | str
    """For people."""


Node = Annotated[str, typer.Option(envvar="COMITY_NODE", help="The node's address; its user by COMITY_TOKEN.")]
Organization = Annotated[str, typer.Option("--as", help="Or an organization of a network of comity up.")]
Directory = Annotated[Path, typer.Option("--dir", help="Where comity up keeps that network.")]
User = Annotated[str, typer.Option(envvar="COMITY_USER", help="Who logs in at the node.")]
Password = Annotated[str, typer.Option(envvar="COMITY_PASSWORD", help="Asked for unless given.")]

OPTIONS: dict[str, tuple[Any, Any]] = {
    "node": (Node, ""),
    "organization": (Organization, ""),
    "directory": (Directory, Path(".comity")),
    "user": (User, ""),
    "password": (Password, ""),
    "as_json": (Annotated[bool, typer.Option("--json", help="Print one JSON value.")], False),
}


def asking(command: Callable[..., Answer]) -> Callable[..., None]:
    """The command, whose first parameter is a client, with options that say which node the client asks."""
    first, *own = signature(command, eval_str=True).parameters.values()
    options = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in OPTIONS.items()
    ]
    parameters = [*(each.replace(kind=Parameter.KEYWORD_ONLY) for each in own), *options]

    @wraps(command)
    def run(**given: Any) -> None:
        *who, as_json = (given.pop(name) for name in OPTIONS)
        client = client_of(*who)
        try:
            answer = command(**{first.name: client}, **given)
        finally:
            client.close()
        _print(answer, as_json)

    run.__signature__ = signature(command).replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    del run.__wrapped__  # type: ignore[attr-defined]
    return run


def client_of(node: str, organization: str, directory: Path, user: str, password: str) -> Client:
    """What asks the node that the options name, as whom they name."""

    def account() -> Account:
        if organization or not node:
            return embedded(directory, organization)
        if not user:
            return Account(url=node, token=os.environ.get("COMITY_TOKEN", ""))
        return Account(url=node, user=user, password=password or _asked(user))

    return Client(account)


def key_of(client: Client, noun: str, given: str) -> str:
    """The key of what is called so, or has this key, or one that begins so; raises NotFound, and Conflict for several.

    A dataset that was withdrawn is meant only if there is no other; of experiments of one name of which each goes on
    from the one before, the last is.
    """
    word, command = NOUNS[noun]
    there = list(client.pages(f"/{noun}/"))
    every = [each for each in there if given in (each["key"], each["name"])]
    if not every and len(given) >= SHORTEST:
        every = [each for each in there if each["key"].startswith(given.lower())]
    found = [each["key"] for each in every if not each.get("withdrawn_date")] or [each["key"] for each in every]
    if not found:
        raise NotFound(f"there is no {word} {given!r}; see what there is with: comity {command} list")
    if len(found) > 1 and noun == "compute_plan":
        found = _last(client, found)
    if len(found) > 1:
        raise Conflict(f"{len(found)} {word}s are called {given!r}; give a key: {', '.join(found)}")
    return found[0]


def _last(client: Client, plans: list[str]) -> list[str]:
    """Those that no other of them goes on from."""
    continued = set[str]()
    for key in plans:
        with suppress(InvalidInput):  # it has no rounds
            continued.add(client.get(f"/compute_plan/{key}/rounds/")["continues"])
    return [key for key in plans if key not in continued]


SHORTEST = 6
"""Signs of a key that may stand for it, where no other begins so."""


NOUNS = {"data_manager": ("dataset", "data"), "function": ("function", "function"), "compute_plan": ("plan", "plan")}
"""What people call a noun of the API, and the command that lists it."""


def permissions(authorize: str, public: bool) -> dict[str, Any]:
    """As REST takes them, from `--authorize A,B` and `--public`."""
    if public and authorize:
        raise InvalidInput("give --authorize or --public, not both")
    return {"public": public, "authorized_ids": [each.strip() for each in authorize.split(",") if each.strip()]}


def allowed(noun: dict[str, Any]) -> str:
    """Who may use a thing, in a cell."""
    process = noun["permissions"]["process"]
    return "everyone" if process["public"] else ", ".join(process["authorized_ids"])


def _asked(user: str) -> str:
    if not sys.stdin.isatty():
        raise InvalidInput(f"give the password of {user} in COMITY_PASSWORD")
    return str(typer.prompt(f"Password of {user}", hide_input=True, err=True))


def _print(answer: Answer, as_json: bool) -> None:
    if as_json:
        typer.echo(json_line(answer.value))
    elif isinstance(answer.shown, Table):
        shown = answer.shown
        rows = [[legible(cell) if isinstance(cell, str) else cell for cell in row] for row in shown.rows]
        printer().print(terminal_table(Table(legible(shown.title), shown.columns, rows)))
    else:
        printer().print(line(legible(answer.shown)))
