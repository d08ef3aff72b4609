"""`comity run`: the experiment of a file, simulated or on a network."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from comity.faces.cli import asking
from comity.faces.cli.experiment_file import ExperimentFile, explained
from comity.faces.cli.show import folder_to_save, json_line, line, printer, terminal_table
from comity.sdk.client import Client
from comity.values.errors import InvalidInput, a, unknown

if TYPE_CHECKING:
    from comity.engine.experiment import Experiment
    from comity.engine.run import Run
    from comity.sdk.placing import Conduct
    from comity.sdk.running import Running

DATA = {"heart": "heart", "brca": "brca", "two-hospitals": "breastmnist", "chembl": "chembl"}
"""Data inside the package that come as sites, and the data set they are of."""


def command(
    file: Annotated[Path, typer.Argument(help="A Python file that defines `experiment`, and `sites` unless --data.")],
    data_name: Annotated[str | None, typer.Option("--data", help=" | ".join(DATA))] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="e.g. train.optimizer.lr=0.01")] = None,
    baselines: Annotated[list[str] | None, typer.Option("--baseline", help="local | pooled; simulated only.")] = None,
    on: Annotated[str, typer.Option(help="Run on a network: ORGANIZATION:DATASET,...")] = "",
    aggregator: Annotated[str, typer.Option(help="Whose node adds up; the one that is asked unless given.")] = "",
    name: Annotated[str, typer.Option(help="What people call the run on the network.")] = "",
    deadline: Annotated[float, typer.Option(help="Seconds that a round waits for sites beyond the quorum.")] = 3600.0,
    retries: Annotated[int, typer.Option(help="How often a site's part that failed is tried again.")] = 1,
    start: Annotated[str, typer.Option(help="Begin with a report folder's model, a file's, or a model's key.")] = "",
    rehearse: Annotated[
        bool, typer.Option("--dry-run", help="One round here, on rows made up by the openers.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait: comity plan watch.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the report folder here, over an earlier one.")] = None,
    node: asking.Node = "",
    organization: asking.Organization = "",
    directory: asking.Directory = Path(".comity"),
    user: asking.User = "",
    password: asking.Password = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Run the experiment of a file and print its table: simulated here, or with --on on a network."""
    # numpy and all else that simulates is loaded by who simulates, and not by every command.
    from comity.engine.report import metrics
    from comity.engine.run import Run
    from comity.faces.credit import credit

    networks = {"--aggregator": aggregator, "--name": name, "--start": start, "--dry-run": rehearse, "--detach": detach}
    _check(networks, on=bool(on), waits=not detach, saves=save is not None)
    if save:
        folder_to_save(save)
    # What the user's code prints may not get into the JSON.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        given = ExperimentFile(file)
        experiment = _experiment(given, settings or ())
        if on:
            if data_name or baselines:
                raise InvalidInput("--data and --baseline are for simulations; with --on the data are the network's")
            from comity.sdk.placing import Conduct

            conduct = Conduct(aggregator=aggregator, name=name, deadline=deadline, retries=retries, start=start)
            client = asking.client_of(node, organization, directory, user, password)
            try:
                run = _on_network(client, experiment, sites_of(on), conduct, how=_how(rehearse, detach), file=file)
            finally:
                client.close()
        else:
            run = _simulated(given, experiment, data_name, baselines or ())
    if not isinstance(run, Run):
        begun = {"plan": run.key}
        typer.echo(json_line(begun) if as_json else f"{run.key} runs. Follow it: comity plan watch {run.key}")
        return
    if save:
        run.save(save)
    if as_json:
        typer.echo(json_line({"table": run.table().records(), **metrics(run)}))
        return
    show(run)
    screen = printer()
    if data_name:
        screen.print(line(credit(DATA[data_name])), style="dim")
    if save:
        screen.print(line(f"Report: {save / 'summary.md'}"))


def show(run: Run) -> None:
    """Print what a run came to."""
    from comity.engine.promises import told

    screen = printer()
    screen.print(terminal_table(run.table()))
    screen.print()
    if run.found and run.experiment.measures:
        screen.print(terminal_table(run.comparison()))
        screen.print()
    screen.print(line(f"Model of round {run.round}: {run.digest}"))
    for promise in told(run.statements):
        screen.print(line(promise.removeprefix("- ")))


def sites_of(given: str) -> dict[str, str]:
    """The dataset of each organization.

    >>> sites_of("org1:heart, org2:heart")
    {'org1': 'heart', 'org2': 'heart'}
    """
    made: dict[str, str] = {}
    for each in given.split(","):
        organization, colon, dataset = each.strip().partition(":")
        if not (organization and colon and dataset):
            raise InvalidInput(f"--on takes ORGANIZATION:DATASET with commas between, not {each.strip()!r}")
        if organization in made:
            raise InvalidInput(f"--on names {organization} twice; an organization takes part with one dataset")
        made[organization] = dataset
    return made


def _check(networks: Mapping[str, object], *, on: bool, waits: bool, saves: bool) -> None:
    """Raise InvalidInput for options that would be passed over: those of networks, or to save what is not there."""
    alone = next((option for option, given in networks.items() if given and not on), None)
    if alone is not None:
        raise InvalidInput(f"{alone} is for networks; say on which data with --on ORGANIZATION:DATASET,...")
    if saves and not waits:
        raise InvalidInput("--save needs the run, which --detach does not wait for; later: comity plan watch --save")


def _how(rehearse: bool, detach: bool) -> Literal["rehearse", "detach", "wait"]:
    if rehearse and detach:
        raise InvalidInput("give --dry-run or --detach, not both")
    return "rehearse" if rehearse else "detach" if detach else "wait"


def _on_network(
    client: Client,
    experiment: Experiment,
    on: Mapping[str, str],
    conduct: Conduct,
    *,
    how: Literal["rehearse", "detach", "wait"],
    file: Path,
) -> Run | Running:
    from comity.faces.watching import watching
    from comity.sdk.placing import place
    from comity.sdk.rehearsing import rehearse as rehearsed
    from comity.sdk.running import Running

    with explained(file):
        if how == "rehearse":
            return rehearsed(client, experiment, on)
        running = Running(client, place(client, experiment, on, conduct), experiment)
    if how == "detach":
        return running
    with watching() as observe:
        return running.wait(observe)


def _experiment(given: ExperimentFile, settings: Sequence[str]) -> Experiment:
    from comity.engine.experiment import Experiment
    from comity.engine.settings import with_setting

    experiment = given["experiment"]
    if not isinstance(experiment, Experiment):
        raise InvalidInput(f"`experiment` in {given.path} is {a(experiment)}, not a co.Experiment")
    for setting in settings:
        experiment = with_setting(experiment, setting)
    return experiment


def _simulated(given: ExperimentFile, experiment: Experiment, data_name: str | None, baselines: Sequence[str]) -> Run:
    from comity import data
    from comity.faces.compose import simulate

    if data_name is not None and data_name not in DATA:
        raise unknown("data set", data_name, DATA)
    sites = getattr(data, data_name.replace("-", "_"))() if data_name else given["sites"]
    with explained(given.path):
        return simulate(experiment, sites, baselines=baselines)
