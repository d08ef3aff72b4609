"""The options that say where what functions require comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from comity.adapters.environments.builds import Builds

Index = Annotated[
    str | None, typer.Option(help="Package index for what functions require, PyPI unless given; '' for none.")
]
Wheels = Annotated[Path | None, typer.Option(help="A folder of wheels for that, beside the index.")]


def builds(index: str | None, wheels: Path | None) -> Builds:
    """How a node that was started with these comes by environments."""
    from comity.adapters.environments.builds import Builds

    folder = wheels and wheels.absolute()
    return Builds(wheels=folder) if index is None else Builds(index=index, wheels=folder)
