"""The `comity` command."""

from __future__ import annotations

import sys

import typer

from comity.faces.cli import demo, run
from comity.values.errors import ComityError

app = typer.Typer(
    name="comity",
    help="Train and validate models together on data that may not be pooled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.command)
app.command("run")(run.command)


def main() -> None:
    """Run the command line; an error is one sentence and exit code 1, a traceback only with --debug."""
    try:
        app()
    except (ComityError, ImportError) as error:
        if "--debug" in sys.argv:
            raise
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        typer.echo(f"comity: {error}{notes}", err=True)
        sys.exit(1)
