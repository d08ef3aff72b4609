"""`comity demo`: a headline experiment on real data, one table, a picture and a report folder."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console

from comity.faces.cli.show import terminal_table, watched
from comity.faces.demos.outcome import Outcome
from comity.values.errors import unknown
from comity.values.table import Table

DEMOS = {
    "heart": "comity.faces.demos.heart",
    "survival": "comity.faces.demos.survival",
    "two-hospitals": "comity.faces.demos.two_hospitals",
    "drug-discovery": "comity.faces.demos.drug_discovery",
}


def command(
    name: Annotated[str, typer.Argument(help=" | ".join(DEMOS))] = "heart",
    save: Annotated[Path | None, typer.Option(help="Report folder; comity-demo-NAME unless given.")] = None,
    more: Annotated[bool, typer.Option("--more", help="Also the demo's slower second panel, if it has one.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    """Run a headline experiment on real data inside the package and print one table."""
    if name not in DEMOS:
        raise unknown("demo", name, DEMOS)
    began = monotonic()
    module = import_module(DEMOS[name])
    outcome: Outcome = module.demo(watched)
    panels: list[Table] = module.more(watched) if more and hasattr(module, "more") else []
    seconds = monotonic() - began
    folder = outcome.run.save(save or Path(f"comity-demo-{name}"))
    (folder / "demo.csv").write_text(outcome.table().to_csv(), newline="")
    (folder / "demo.json").write_text(json.dumps(outcome.document(seconds), indent=1))
    if as_json:
        typer.echo(json.dumps(outcome.document(seconds)))
        return
    screen = Console()
    screen.print(terminal_table(outcome.table(), strong=lambda row: str(row[0]).startswith("Fed")))
    for table in [*outcome.tables, *panels]:
        screen.print()
        screen.print(terminal_table(table))
    screen.print()
    for note in outcome.notes:
        screen.print(f"[dim]{note}[/dim]")
    screen.print(f"\n{seconds:.1f} s. Picture: {folder / 'figure.png'}. Report: {folder / 'summary.md'}")
