"""The `comity` command."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

from comity.faces.cli import (
    approve,
    data,
    demo,
    doctor,
    function,
    hub,
    log,
    node,
    plan,
    playground,
    policy,
    privacy,
    run,
    status,
    up,
)
from comity.values.errors import ComityError

INTERRUPTED = 130
"""What a shell expects after Ctrl-C."""

app = typer.Typer(
    name="comity",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.command)
app.command("run")(run.command)
app.command("up")(up.command)
app.command("playground")(playground.command)
app.command("status")(status.command)
app.command("approve")(approve.command)
app.command("doctor")(doctor.command)
app.command("privacy")(privacy.command)
app.add_typer(data.app, name="data")
app.add_typer(function.app, name="function")
app.add_typer(plan.app, name="plan")
app.add_typer(log.app, name="log")
app.add_typer(policy.app, name="policy")
app.add_typer(hub.app, name="hub")
app.add_typer(node.app, name="node")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"comity {version('comity')}")
        raise typer.Exit


@app.callback()
def _top(  # pyright: ignore[reportUnusedFunction], Typer calls it
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train and validate models together on data that may not be pooled."""


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    """Print a warning; of comity's own, not where in its source it comes from."""
    ours = category.__module__.partition(".")[0] == "comity"
    where = "comity" if ours else f"{filename}:{lineno}"
    typer.echo(f"{where}: {category.__name__}: {message}", err=True)


def main() -> None:
    """Run the command line; an error is one sentence and exit code 1, a traceback only with --debug."""
    warnings.showwarning = _warn
    try:
        app()
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        typer.echo("comity: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except (ComityError, ImportError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        typer.echo(f"comity: {error}{notes}", err=True)
        sys.exit(1)
