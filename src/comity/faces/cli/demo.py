"""`comity demo`: a headline experiment on real data, one table, a picture and a report folder."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Event
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from comity.faces.cli.show import folder_to_save, json_line, line, printer, terminal_table, watched
from comity.values.errors import NotSupported, unknown
from comity.values.table import Table

if TYPE_CHECKING:
    from comity.faces.demos.hospitals import Crossing
    from comity.faces.demos.outcome import Outcome
    from comity.faces.demos.privacy.lab import Lab

DEMOS = {
    "heart": "comity.faces.demos.heart",
    "survival": "comity.faces.demos.survival",
    "two-hospitals": "comity.faces.demos.two_hospitals",
    "drug-discovery": "comity.faces.demos.drug_discovery",
    "privacy": "comity.faces.demos.privacy",
}


def command(
    name: Annotated[str, typer.Argument(help=" | ".join(DEMOS))] = "heart",
    save: Annotated[
        Path | None,
        typer.Option(help="Report folder, written over an earlier one; comity-demo-NAME unless given."),
    ] = None,
    more: Annotated[
        bool, typer.Option("--more", help="Also the slower second panel of drug-discovery or privacy.")
    ] = False,
    simulated: Annotated[bool, typer.Option("--simulate", help="heart: in this process only, no network.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="heart: leave the network running until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Run a headline experiment on real data inside the package and print one table.

    That of heart disease is run across a network of the four hospitals, started on this machine.
    """
    began, module = monotonic(), _module(name)
    if more and not hasattr(module, "more"):
        raise NotSupported(f"the demo {name} has no second panel; leave --more out")
    networked = hasattr(module, "hospitals") and not simulated
    if keep and not networked:
        raise NotSupported(f"the demo {name} is simulated here: there is no network to keep; leave --keep out")
    if networked and sys.platform != "linux":
        raise NotSupported(f"a network's tasks run on Linux, not on {sys.platform}; give --simulate")
    from comity.faces.demos.hospitals import across_hospitals

    folder = folder_to_save(save or Path(f"comity-demo-{name}"))
    outcome: Outcome | Lab = module.demo(watched)
    panels: list[Table] = module.more(watched) if more else []
    with across_hospitals(outcome.run, module.hospitals(), folder / "network") if networked else nullcontext() as made:
        if made is not None:
            outcome = replace(outcome, run=made.run, notes=[*made.notes(), *outcome.notes])
        _tell(outcome, panels, folder, seconds=monotonic() - began, as_json=as_json)
        if made is not None and keep:
            _keep(made)


def _keep(made: Crossing) -> None:
    """Leave the network running until Ctrl-C."""
    for name in made.organizations:
        typer.echo(
            f"{name} {made.network.at(name).url}  user admin  password in {made.folder / name / 'admin-password'}"
        )
    typer.echo("Ctrl-C stops the network.")
    with suppress(KeyboardInterrupt):
        Event().wait()


def _tell(outcome: Outcome | Lab, panels: list[Table], folder: Path, *, seconds: float, as_json: bool) -> None:
    """Save the report and print."""
    from comity.faces.credit import credit

    written = outcome.document(seconds)
    if panels:
        written["more"] = {panel.title: panel.records() for panel in panels}
    _save(outcome, panels, json_line(written), folder)
    if as_json:
        typer.echo(json_line(written))
        return
    screen = printer()
    screen.print(terminal_table(outcome.table(), strong=lambda row: row[0] == outcome.shown))
    for table in [*outcome.tables, *panels]:
        screen.print()
        screen.print(terminal_table(table))
    screen.print()
    for note in [*outcome.notes, credit(outcome.data)]:
        screen.print(line(note), style="dim")
    screen.print()
    screen.print(line(f"{seconds:.1f} s. Picture: {folder / 'demo.png'}. Report: {folder / 'demo.md'}"))


def _module(name: str) -> ModuleType:
    if name not in DEMOS:
        raise unknown("demo", name, DEMOS)
    try:
        return import_module(DEMOS[name])
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise NotSupported(f"the demo {name} needs PyTorch: pip install 'comity[torch]'") from error


def _save(outcome: Outcome | Lab, panels: list[Table], written: str, folder: Path) -> None:
    outcome.run.save(folder)
    (folder / "demo.json").write_text(written + "\n")
    (folder / "demo.csv").write_text(outcome.table().to_csv(), newline="")
    (folder / "demo.md").write_text(outcome.markdown(panels))
    outcome.picture().savefig(folder / "demo.png", dpi=144)
