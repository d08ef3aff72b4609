"""`comity run`: simulate the experiment of a file."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console

from comity import data
from comity.engine.experiment import Experiment
from comity.engine.report import metrics
from comity.engine.settings import with_setting
from comity.faces.cli.show import terminal_table
from comity.faces.compose import simulate
from comity.values.errors import ComityError, InvalidInput, unknown
from comity.values.site import Site

DATA: dict[str, Callable[[], Sequence[Site]]] = {
    "heart": data.heart,
    "brca": data.brca,
    "two-hospitals": data.two_hospitals,
    "chembl": data.chembl,
}
"""Data sets inside the package that come as sites."""


def command(
    file: Annotated[Path, typer.Argument(help="A Python file that defines `experiment`, and `sites` unless --data.")],
    data_name: Annotated[str | None, typer.Option("--data", help=" | ".join(DATA))] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="e.g. train.optimizer.lr=0.01")] = None,
    baselines: Annotated[list[str] | None, typer.Option("--baseline", help="local | pooled")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the report folder here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    """Simulate the experiment of a file and print its table."""
    module = _load(file, debug)
    experiment = _named(module, file, "experiment")
    if not isinstance(experiment, Experiment):
        raise InvalidInput(f"`experiment` in {file} is a {type(experiment).__name__}, not a co.Experiment")
    for setting in settings or ():
        experiment = with_setting(experiment, setting)
    if data_name is not None and data_name not in DATA:
        raise unknown("data set", data_name, DATA)
    sites = DATA[data_name]() if data_name else _named(module, file, "sites")
    try:
        run = simulate(experiment, sites, baselines=baselines or ())
    except ComityError:
        raise
    except Exception as error:
        raise _explained(error, file, debug) from error
    folder = run.save(save) if save else None
    if as_json:
        typer.echo(json.dumps(metrics(run)))
        return
    screen = Console()
    screen.print(terminal_table(run.table()))
    screen.print(f"\nModel of round {run.round}: {run.digest}")
    if folder:
        screen.print(f"Report: {folder / 'summary.md'}")


def _load(file: Path, debug: bool) -> ModuleType:
    if not file.is_file():
        near = sorted(path.name for path in file.parent.glob("*.py")) if file.parent.is_dir() else []
        raise InvalidInput(f"there is no file {file}" + (f"; in its folder: {', '.join(near[:5])}" if near else ""))
    spec = spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{file} is not a Python file; give one that defines `experiment`")
    module = module_from_spec(spec)
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _explained(error, file, debug) from error
    return module


def _named(module: ModuleType, file: Path, name: str) -> Any:
    if not hasattr(module, name):
        hint = "; or choose --data" if name == "sites" else ""
        raise InvalidInput(f"{file} does not define `{name}`; write `{name} = ...` in it{hint}")
    return getattr(module, name)


def _explained(error: Exception, file: Path, debug: bool) -> Exception:
    """The error as one sentence with the line of the user's own code that it comes from."""
    if debug:
        return error
    if isinstance(error, SyntaxError):
        return InvalidInput(f"{error.filename}:{error.lineno}: {error.msg}")
    own = file.resolve().parent
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve().parent == own]
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(file)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return InvalidInput(f"{place}: {type(error).__name__}: {error}{notes}")
