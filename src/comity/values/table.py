"""A small table of results: plain text, HTML for notebooks, CSV for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import final

from comity.values.errors import InvalidInput, unknown

Cell = str | int | float | bool | None


@final
@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns. None is shown as an empty cell.

    >>> print(Table("ages", ("site", "mean"), [("A", 54.321), ("B", None)]))
    ages
    site    mean
    A     54.321
    B
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "rows", tuple(tuple(row) for row in self.rows))
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InvalidInput(f"the table {self.title!r} has {len(self.columns)} columns but a row of {len(row)}")

    def column(self, name: str) -> list[Cell]:
        """The cells of one column, from the top."""
        if name not in self.columns:
            raise unknown("column", name, self.columns)
        return [row[list(self.columns).index(name)] for row in self.rows]

    def records(self) -> list[Mapping[str, Cell]]:
        """The rows as mappings from column to cell."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def __str__(self) -> str:
        texts = [list(self.columns), *([cell_text(cell) for cell in row] for row in self.rows)]
        numeric = [all(not isinstance(row[i], str) for row in self.rows) for i in range(len(self.columns))]
        widths = [max(len(line[i]) for line in texts) for i in range(len(self.columns))]
        lines = [
            "  ".join(cell.rjust(w) if n else cell.ljust(w) for cell, w, n in zip(line, widths, numeric, strict=True))
            for line in texts
        ]
        return "\n".join([self.title, *(line.rstrip() for line in lines)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell_text(c))}</td>" for c in row) + "</tr>" for row in self.rows)
        return (
            f"<table><caption>{escape(self.title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def to_csv(self) -> str:
        """RFC 4180 text with a header line; numbers in full precision."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(self.columns)
        writer.writerows(["" if cell is None else cell for cell in row] for row in self.rows)
        return out.getvalue()


def cell_text(cell: Cell) -> str:
    """A cell as it is shown: floats with three decimals, very small and very large ones with four digits.

    >>> [cell_text(cell) for cell in (None, 0.0, 0.25, 1.25e-9, 7)]
    ['', '0.000', '0.250', '1.25e-09', '7']
    """
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.4g}" if cell and not 1e-3 <= abs(cell) < 1e5 else f"{cell:.3f}"
    return str(cell)
