"""The rows of a site."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from comity.values.errors import InvalidInput
from comity.values.rows import Rows, as_rows, concatenate

X, Y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 1])


def test_rows_are_counted_and_shown_without_their_values() -> None:
    assert len(Rows(X, Y)) == 3
    assert repr(Rows(X, Y)) == "Rows(x=(3, 2) float64, y=(3,) int64)"
    assert repr(Rows(X)) == "Rows(x=(3, 2) float64, y=None)"


def test_take_keeps_what_belongs_together() -> None:
    rows = Rows(X, Y, columns=("a", "b"), ids=np.array(["p", "q", "p"]))
    for chosen in (np.array([2, 0]), np.array([True, False, True])):
        taken = rows.take(chosen)
        assert taken.x.tolist() == X[chosen].tolist()
        assert taken.targets.tolist() == Y[chosen].tolist()
        assert taken.ids is not None
        assert set(taken.ids) == {"p"}
        assert taken.columns == ("a", "b")


def test_rows_are_given_in_three_ways() -> None:
    rows = Rows(X, Y)
    assert as_rows(rows) is rows
    assert as_rows((X, Y)).targets is Y
    assert as_rows(X).y is None
    with pytest.raises(InvalidInput, match="not as a tuple of 3"):
        as_rows((X, Y, Y))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": np.array(1.0)}, "not a float"),
        ({"x": None}, "not a NoneType"),
        ({"x": {"x": X}}, "not a dict"),
        ({"x": [[1, 2], [3]]}, "x must be an array .* its parts differ in shape"),
        ({"x": X, "y": [0, [1], 2]}, "y must be an array"),
        ({"x": X, "y": Y[:2]}, r"y has shape \(2,\) but x has 3 rows"),
        ({"x": X, "y": np.array(1)}, r"y has shape \(\)"),
        ({"x": X, "ids": Y[:1]}, r"ids has shape \(1,\)"),
        ({"x": X, "columns": ("a",)}, "1 column names"),
        ({"x": X, "columns": "ab"}, r"columns must be a list of names such as \['age'\], not 'ab'"),
        ({"x": X, "columns": ("a", "a")}, "two columns are called 'a'"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Rows(**given)  # type: ignore[arg-type]


def test_a_list_of_x_and_y_is_not_taken_for_x() -> None:
    with pytest.raises(InvalidInput, match=r"as a tuple \(x, y\)"):
        as_rows([X, Y])  # type: ignore[arg-type]


def test_a_data_frame_brings_the_names_of_its_columns() -> None:
    frame = pd.DataFrame(X, columns=["age", 2])
    rows = as_rows((frame, pd.Series(Y)))
    assert rows.columns == ("age", "2")
    assert rows.x.tolist() == X.tolist()
    assert rows.targets.tolist() == Y.tolist()
    assert Rows(frame, columns=("a", "b")).columns == ("a", "b")  # type: ignore[arg-type]


def test_targets_of_another_index_are_not_paired_by_position() -> None:
    frame = pd.DataFrame(X, columns=["age", "sex"])
    for name in ("y", "ids"):
        shuffled = pd.Series(Y, index=[2, 1, 0])
        with pytest.raises(InvalidInput, match=rf"{name} has another index than x.*{name}\.loc\[x\.index\]"):
            Rows(frame, **{name: shuffled})  # type: ignore[arg-type]
        assert Rows(frame, **{name: shuffled.loc[frame.index]}).x.tolist() == X.tolist()  # type: ignore[arg-type]
        assert Rows(frame, **{name: shuffled.to_numpy()}).x.tolist() == X.tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "floats"),
    [
        ([True, False, True], [1, 0, 1]),
        (pd.array([1, None, 3], dtype="Int64"), [1, np.nan, 3]),
        (pd.array([True, None, False], dtype="boolean"), [1, np.nan, 0]),
        (pd.Series([1.5, None, True], dtype=object), [1.5, np.nan, 1]),
        (pd.Categorical([3, 1, 1]), [3, 1, 1]),
    ],
)
def test_columns_of_a_data_frame_become_floats(column: Any, floats: list[float]) -> None:
    rows = Rows(pd.DataFrame({"age": [0.5, 1.5, 2.5], "column": column}), pd.Series(column))  # type: ignore[arg-type]
    assert rows.x.dtype == np.float64
    np.testing.assert_array_equal(rows.x, np.column_stack([[0.5, 1.5, 2.5], floats]))
    np.testing.assert_array_equal(rows.targets, floats)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["m", "f", "m"], "object"),
        (["1", "2", "3"], "object"),
        (pd.Categorical(["m", "f", "f"]), "category"),
        (pd.to_datetime(["2020-01-01"] * 3), "datetime64"),
    ],
)
def test_a_column_of_text_is_refused_by_its_name(column: Any, kind: str) -> None:
    for frame in (pd.DataFrame({"age": [1.0, 2.0, 3.0], "sex": column}), pd.DataFrame({"sex": column})):
        with pytest.raises(InvalidInput, match=rf"column 'sex' holds {kind}.*, not numbers; .*astype.*get_dummies"):
            Rows(frame)  # type: ignore[arg-type]


def test_missing_values_are_named_by_their_column() -> None:
    holes = np.where(X == 3, np.nan, X)
    assert Rows(X, Y).missing() == ""
    assert Rows(holes, Y, ("age", "sex")).missing() == "column 'sex' of x has 1 NaN"
    assert Rows(holes, Y).missing() == "column 1 of x has 1 NaN"
    assert Rows(holes[:, :, None]).missing() == "x has 1 NaN"
    assert Rows(X, np.array([np.nan, 0, np.nan])).missing() == "y has 2 NaN"
    assert Rows(X, holes).missing() == ""  # tasks that were not measured


def test_rows_without_targets_say_so() -> None:
    with pytest.raises(InvalidInput, match="no targets y"):
        _ = Rows(X).targets


def test_concatenate_puts_all_rows_together() -> None:
    whole = concatenate([Rows(X, Y, ("a", "b"), Y), Rows(X[:1], Y[:1], ("a", "b"), Y[:1])])
    assert whole.x.shape == (4, 2)
    assert whole.targets.tolist() == [0, 1, 1, 0]
    assert whole.columns == ("a", "b")
    assert whole.ids is not None
    assert concatenate([Rows(X), Rows(X)]).y is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "no rows"),
        ([Rows(X, Y), Rows(X[:, :1], Y)], "cannot be put together"),
        ([Rows(X, Y), Rows(X)], "targets"),
        ([Rows(X), Rows(X, Y)], "targets"),
        ([Rows(X, Y, ("a", "b")), Rows(X, Y, ("b", "a"))], "columns"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: list[Rows], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        concatenate(parts)
