"""The options that say where what functions require comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from comity.adapters.environments.builds import Builds

Index = Annotated[
    str | None, typer.Option(help="Package index for what functions require, PyPI unless given; '' for none.")
]
Wheels = Annotated[Path | None, typer.Option(help="A folder of wheels for that, beside the index.")]


def given(index: str | None, wheels: Path | None) -> Mapping[str, Any]:
    """Those that were given, by the names of `Builds`."""
    made: dict[str, Any] = {} if index is None else {"index": index}
    return made if wheels is None else {**made, "wheels": wheels.absolute()}


def builds(index: str | None, wheels: Path | None) -> Builds:
    """How a node that was started with these comes by environments."""
    from comity.adapters.environments.builds import Builds

    return Builds(**given(index, wheels))
