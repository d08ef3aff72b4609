"""Tables of results."""

from __future__ import annotations

import csv
import io

import pytest

from comity.values.errors import InvalidInput
from comity.values.table import Table

TABLE = Table("metrics", ("site", "rows", "auc"), [("A", 10, 0.5), ("Berlin", 200, None), ("C, <north>", 3, 1.25e-9)])


def test_text_is_aligned_with_numbers_to_the_right() -> None:
    assert str(TABLE).splitlines() == [
        "metrics",
        "site        rows       auc",
        "A             10     0.500",
        "Berlin       200",
        "C, <north>     3  1.25e-09",
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        *[(0.0, "0.000"), (0.12345, "0.123"), (1e-3, "0.001"), (9.9e-4, "0.00099")],
        *[(99999.0, "99999.000"), (1e5, "1e+05"), (-2.5, "-2.500"), (float("nan"), "nan")],
        *[(7, "7"), (True, "True"), (None, "")],
    ],
)
def test_numbers_are_shown_short(cell: float | None, text: str) -> None:
    assert str(Table("t", ("c",), [(cell,)])).split("\n")[2].strip() == text


def test_csv_is_read_back_in_full_precision() -> None:
    rows = list(csv.reader(io.StringIO(Table("t", ("a", "b"), [('x,\n"y"', 0.1 + 0.2), (None, 1)]).to_csv())))
    assert rows == [["a", "b"], ['x,\n"y"', "0.30000000000000004"], ["", "1"]]


def test_html_is_escaped() -> None:
    html = TABLE._repr_html_()
    assert "C, &lt;north&gt;" in html
    assert "<north>" not in html
    assert html.count("<tr>") == 4


def test_columns_and_records() -> None:
    assert TABLE.column("rows") == [10, 200, 3]
    assert TABLE.records()[1] == {"site": "Berlin", "rows": 200, "auc": None}
    with pytest.raises(InvalidInput, match="did you mean 'site'"):
        TABLE.column("sit")


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match="3 columns but a row of 2"):
        Table("t", ("a", "b", "c"), [(1, 2)])


def test_an_empty_table_has_its_columns() -> None:
    assert str(Table("none", ("a", "bb"), [])) == "none\na  bb"
