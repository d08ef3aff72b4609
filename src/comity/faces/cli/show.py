"""Tables and progress on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import rich.table
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from comity.values.table import Cell, Table


def terminal_table(table: Table, *, strong: Callable[[Sequence[Cell]], bool] = lambda row: False) -> rich.table.Table:
    """A table for the terminal; rows that `strong` picks are bold."""
    made = rich.table.Table(title=table.title, title_justify="left", title_style="bold", header_style="dim", box=None)
    for position, column in enumerate(table.columns):
        numeric = all(not isinstance(row[position], str) for row in table.rows)
        made.add_column(column, justify="right" if numeric else "left", no_wrap=numeric)
    for row in table.rows:
        made.add_row(*(_text(cell) for cell in row), style="bold" if strong(row) else "")
    return made


def watched(names: Sequence[str]) -> Iterator[str]:
    """The names one by one, under a progress bar on the error stream that says which one is at work."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(names))
        for name in names:
            bar.update(task, description=name)
            yield name
            bar.advance(task)


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
