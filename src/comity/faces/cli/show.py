"""Tables, JSON and progress on a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import rich.table
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from comity.values.errors import InvalidInput
from comity.values.table import Cell, Table, cell_text

WITHOUT_END = 10_000
"""Characters."""


def terminal_table(table: Table, *, strong: Callable[[Sequence[Cell]], bool] = lambda row: False) -> Group:
    """A table for the terminal; rows that `strong` picks are bold.

    On a narrow terminal headers break into lines, and columns that find no room stand below, beside the
    names of the rows again; a number is never broken.
    """
    cells = [[cell_text(cell) for cell in row] for row in table.rows]
    widths = [
        max(len(word) for word in [*name.split(), *(row[position] for row in cells), ""])
        for position, name in enumerate(table.columns)
    ]
    blocks: list[RenderableType] = []
    room = printer().width
    for positions in _blocks(widths, room):
        unbroken = [max(widths[each], len(table.columns[each])) for each in positions]
        fits = sum(width + 2 for width in unbroken) <= room
        made = rich.table.Table(header_style="dim", box=None, pad_edge=False)
        for position in positions:
            numeric = all(not isinstance(row[position], str) for row in table.rows)
            justify = "right" if numeric else "left"
            # Rich would rather break numbers than headers. Names may be broken where nothing else helps.
            width = None if fits or not position else widths[position]
            made.add_column(Text(table.columns[position]), justify=justify, width=width, overflow="fold")
        for row, texts in zip(table.rows, cells, strict=True):
            made.add_row(*(Text(texts[position]) for position in positions), style="bold" if strong(row) else "")
        blocks += [Text(), made] if blocks else [made]
    return Group(Text(table.title, style="bold"), *blocks)


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Positions of the columns that go side by side, with two blanks each, the first column in every block.

    >>> _blocks([4, 5, 5, 5], room=20)
    [[0, 1, 2], [0, 3]]
    """
    blocks = [[0]]
    for position in range(1, len(widths)):
        if len(blocks[-1]) > 1 and sum(widths[each] + 2 for each in [*blocks[-1], position]) > room:
            blocks.append([0])
        blocks[-1].append(position)
    return blocks


def printer() -> Console:
    """Where results are printed: as wide as the terminal; without end where there is none, so that no line breaks."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal or os.environ.get("COLUMNS") else Console(highlight=False, width=WITHOUT_END)


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


@contextmanager
def waiting() -> Generator[Callable[[int, int], None]]:
    """What shows how many of how many are done, on the error stream."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
