"""`comity policy`: what members let run on their data, and what they would say of an experiment before it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from comity.faces.cli.asking import Answer, asking
from comity.faces.cli.experiment_file import ExperimentFile, explained
from comity.faces.cli.show import json_line, line, printer
from comity.sdk.client import Client
from comity.values.errors import InvalidInput
from comity.values.table import Table

app = typer.Typer(no_args_is_help=True, help="What members let run on their data.")


@app.command("show")
@asking
def show(client: Client) -> Answer:
    """Show every member's policy, as it said it in the log."""
    found = client.get("/policy/")
    rows = [
        (
            each["organization"],
            "permissions and a steward's word" if each["content"] is None else _rules(each["content"]),
            (each["digest"] or "none")[:19],
            each["date"],
        )
        for each in found
    ]
    return Answer(found, Table("Policies", ("organization", "rules", "digest", "since"), rows))


@app.command("explain")
@asking
def explain(
    client: Client,
    file: Annotated[Path, typer.Argument(help="A Python file that defines `experiment`.")],
    on: Annotated[str, typer.Option(help="ORGANIZATION:DATASET,...")],
    aggregator: Annotated[str, typer.Option(help="Whose node adds up; the one that is asked unless given.")] = "",
    by: Annotated[str, typer.Option(help="The organization that would run it; this one unless given.")] = "",
) -> Answer:
    """Say what each site's policy would say of an experiment, and why; nothing is sent."""
    from comity.engine.experiment import Experiment
    from comity.faces.cli.run import sites_of
    from comity.sdk.explaining import explain as asked
    from comity.sdk.placing import Conduct

    experiment = ExperimentFile(file)["experiment"]
    if not isinstance(experiment, Experiment):
        raise InvalidInput(f"`experiment` in {file} is no co.Experiment")
    with explained(file):
        found = asked(client, experiment, sites_of(on), Conduct(aggregator=aggregator), by=by)
    rows = [
        (
            each["organization"],
            "allowed" if each["allowed"] else "refused",
            f"rule {each['rule']}" if each["allowed"] else "; ".join(each["reasons"]),
        )
        for each in found
    ]
    return Answer(found, Table("What policies would say", ("organization", "says", "by, or why"), rows))


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A policy.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Read a policy as a node would, and say what is wrong with it."""
    from comity.node.policy.policies import read_file

    if not file.is_file():
        raise InvalidInput(f"there is no file {file}")
    held = read_file(file)
    if held.trouble or held.policy is None:
        raise InvalidInput(held.trouble)
    if as_json:
        return typer.echo(json_line({"digest": held.digest, "rules": [each.id for each in held.policy.rule]}))
    rules = ", ".join(each.id for each in held.policy.rule) or "none, so nobody else may run anything"
    printer().print(line(f"{file} is a policy. Rules, in order: {rules}"))


def _rules(content: dict[str, Any]) -> str:
    return ", ".join(each["id"] for each in content.get("rule", [])) or "none: nobody else may run anything"
