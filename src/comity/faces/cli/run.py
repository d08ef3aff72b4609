"""`comity run`: simulate the experiment of a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from comity import data
from comity.engine.experiment import Experiment
from comity.engine.report import metrics
from comity.engine.run import Run
from comity.engine.settings import with_setting
from comity.faces.cli.experiment_file import ExperimentFile, explained
from comity.faces.cli.show import folder_to_save, json_line, line, printer, terminal_table
from comity.faces.compose import simulate
from comity.faces.credit import credit
from comity.values.errors import InvalidInput, a, unknown
from comity.values.site import Site

DATA: dict[str, tuple[Callable[[], Sequence[Site]], str]] = {
    "heart": (data.heart, "heart"),
    "brca": (data.brca, "brca"),
    "two-hospitals": (data.two_hospitals, "breastmnist"),
    "chembl": (data.chembl, "chembl"),
}
"""Data inside the package that come as sites, and the data set they are of."""


def command(
    file: Annotated[Path, typer.Argument(help="A Python file that defines `experiment`, and `sites` unless --data.")],
    data_name: Annotated[str | None, typer.Option("--data", help=" | ".join(DATA))] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="e.g. train.optimizer.lr=0.01")] = None,
    baselines: Annotated[list[str] | None, typer.Option("--baseline", help="local | pooled")] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Write the report folder here, over an earlier one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Simulate the experiment of a file and print its table."""
    if data_name is not None and data_name not in DATA:
        raise unknown("data set", data_name, DATA)
    if save:
        folder_to_save(save)
    # What the user's code prints may not get into the JSON.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        run = _run(file, data_name, settings or (), baselines or ())
    if save:
        run.save(save)
    if as_json:
        typer.echo(json_line({"table": run.table().records(), **metrics(run)}))
        return
    screen = printer()
    screen.print(terminal_table(run.table()))
    screen.print()
    if run.found and run.experiment.measures:
        screen.print(terminal_table(run.comparison()))
        screen.print()
    screen.print(line(f"Model of round {run.round}: {run.digest}"))
    if data_name:
        screen.print(line(credit(DATA[data_name][1])), style="dim")
    if save:
        screen.print(line(f"Report: {save / 'summary.md'}"))


def _run(file: Path, data_name: str | None, settings: Sequence[str], baselines: Sequence[str]) -> Run:
    given = ExperimentFile(file)
    experiment = given["experiment"]
    if not isinstance(experiment, Experiment):
        raise InvalidInput(f"`experiment` in {file} is {a(experiment)}, not a co.Experiment")
    for setting in settings:
        experiment = with_setting(experiment, setting)
    sites = DATA[data_name][0]() if data_name else given["sites"]
    with explained(file):
        return simulate(experiment, sites, baselines=baselines)
