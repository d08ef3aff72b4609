"""Tables, JSON and progress on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import rich.table
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from comity.values.errors import InvalidInput
from comity.values.table import Cell, Table


def terminal_table(table: Table, *, strong: Callable[[Sequence[Cell]], bool] = lambda row: False) -> Group:
    """A table for the terminal; rows that `strong` picks are bold."""
    made = rich.table.Table(header_style="dim", box=None, pad_edge=False)
    for position, column in enumerate(table.columns):
        numeric = all(not isinstance(row[position], str) for row in table.rows)
        # On a narrow terminal headers break into lines, the names of the rows do not.
        made.add_column(Text(column), justify="right" if numeric else "left", no_wrap=position == 0, overflow="fold")
    for row in table.rows:
        made.add_row(*(Text(_text(cell)) for cell in row), style="bold" if strong(row) else "")
    return Group(Text(table.title, style="bold"), made)


def line(text: str) -> Text:
    """A line that is printed as it is, whatever brackets a path in it may have."""
    return Text(text, overflow="fold")


def json_line(value: Any) -> str:
    """Strict JSON on one line: what is not finite becomes null."""
    return json.dumps(_strict(value), allow_nan=False)


def watched(names: Sequence[str]) -> Iterator[str]:
    """The names one by one, under a progress bar on the error stream that says which one is at work."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=len(names))
        for name in names:
            bar.update(task, description=name)
            yield name
            bar.advance(task)


def folder_to_save(path: Path) -> Path:
    """The folder, once it is sure before a long run that it can be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be made a report folder: {error.strerror}; give another with --save"
        ) from None
    return path


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
