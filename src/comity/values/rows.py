"""The rows of one site: what an opener gives and what never leaves."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, TypeAlias, final

import numpy as np

from comity.values.errors import InvalidInput, a
from comity.values.tree import Array


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Features `x` (n, ...) and targets `y` (n, ...) of n rows, as arrays or as data frames.

    Columns of a data frame that are switches, or numbers with missing values, become floats with NaN. Raises
    InvalidInput, which names the column, for one that holds text, and where x and y have indexes that differ.

    A survival target is `y` (n, 2): time, then 1 for an event and 0 for a censored row. A multi-task
    target holds NaN where a row was not measured.
    """

    x: Array
    y: Array | None = None
    columns: tuple[str, ...] = ()
    """Names of x's columns; those of a data frame unless given, empty when they have none."""
    ids: Array | None = None
    """Who each row belongs to (n,), e.g. a patient; None when every row stands alone."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _names(self.columns, self.x))
        for name in ("y", "ids"):
            _check_index(name, getattr(self, name), self.x)
        object.__setattr__(self, "x", _array("x", self.x))
        if self.x.ndim == 0:
            raise InvalidInput(f"x must be an array with one entry a row, not {a(self.x.item())}")
        for name in ("y", "ids"):
            array = getattr(self, name)
            if array is not None:
                array = _array(name, array)
                object.__setattr__(self, name, array)
                if array.ndim == 0 or len(array) != len(self.x):
                    raise InvalidInput(f"{name} has shape {array.shape} but x has {len(self.x)} rows")
        if self.columns and (self.x.ndim != 2 or len(self.columns) != self.x.shape[1]):
            raise InvalidInput(f"{len(self.columns)} column names were given for x of shape {self.x.shape}")

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        y = "None" if self.y is None else f"{self.y.shape} {self.y.dtype}"
        return f"Rows(x={self.x.shape} {self.x.dtype}, y={y})"

    def take(self, index: Array) -> Rows:
        """The rows at these positions or under this mask (n,), in that order."""
        return replace(
            self,
            x=self.x[index],
            y=None if self.y is None else self.y[index],
            ids=None if self.ids is None else self.ids[index],
        )

    @property
    def targets(self) -> Array:
        """y; raises InvalidInput when these rows have none."""
        if self.y is None:
            raise InvalidInput("these rows have no targets y, which this model, strategy or metric needs")
        return self.y

    def missing(self) -> str:
        """Where numbers are missing, e.g. "column 'age' of x has 3 NaN"; "" when none is.

        A NaN in y (n, k) is none: that task was not measured.
        """
        if self.x.dtype.kind == "f" and (bad := np.isnan(self.x)).any():
            if self.x.ndim != 2:
                return f"x has {bad.sum()} NaN"
            column = int(np.argmax(bad.any(axis=0)))
            name = repr(self.columns[column]) if self.columns else column
            return f"column {name} of x has {bad[:, column].sum()} NaN"
        if self.y is not None and self.y.ndim == 1 and self.y.dtype.kind == "f" and (bad := np.isnan(self.y)).any():
            return f"y has {bad.sum()} NaN"
        return ""


RowsGiven: TypeAlias = Rows | tuple[Array, Array] | Array
"""Rows, (x, y), or x alone."""


def as_rows(given: RowsGiven) -> Rows:
    """Rows from rows, from (x, y), or from x alone."""
    if isinstance(given, Rows):
        return given
    if isinstance(given, tuple):
        if len(given) != 2:
            raise InvalidInput(f"rows are given as (x, y), not as a tuple of {len(given)}")
        return Rows(*given)
    return Rows(given)


def same_columns(first: tuple[str, tuple[str, ...]], second: tuple[str, tuple[str, ...]]) -> None:
    """Raises InvalidInput unless two, each given as whose columns and their names, agree; what has no names agrees.

    >>> same_columns(("site 'A'", ("age", "sex")), ("site 'B'", ("sex", "age")))
    Traceback (most recent call last):
    comity.values.errors.InvalidInput: the columns of site 'A' and of site 'B' differ, first in column 1: 'age' and 'sex'; give both the same columns in the same order
    """  # noqa: E501
    if not first[1] or not second[1] or first[1] == second[1]:
        return
    pairs = enumerate(zip_longest(first[1], second[1]), start=1)
    at, (one, other) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
    raise InvalidInput(
        f"the columns of {first[0]} and of {second[0]} differ, first in column {at}: {_said(one)} and {_said(other)}; "
        "give both the same columns in the same order"
    )


@contextmanager
def missing_said(rows: Rows, where: str) -> Generator[None]:
    """Within it, an error about values says that the rows have missing ones, where they have."""
    try:
        yield
    except ValueError as error:
        if missing := rows.missing():
            led = str(error).partition("\n")[0]
            raise InvalidInput(
                f"{where}: {missing}; leave these rows out or fill them in (it led to: {led})"
            ) from error
        raise


def _said(name: str | None) -> str:
    return "none" if name is None else repr(name)


def _array(name: str, given: Any) -> Array:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise InvalidInput(
            f"{name} must be an array with one entry a row, but its parts differ in shape; give rows as Rows(x, y) or "
            "as a tuple (x, y)"
        ) from error
    if array.dtype.kind in "biuf" or array.ndim == 0 or name == "ids":
        return array
    if hasattr(given, "columns"):
        return np.column_stack([_column(str(each), given[each]) for each in given.columns])  # (n, d)
    floats = _floats(given)
    return array if floats is None else floats


def _column(name: str, column: Any) -> Array:
    floats = _floats(column)
    if floats is None:
        raise InvalidInput(
            f"column {name!r} holds {column.dtype}, not numbers; convert it first, e.g. by .astype(float) or "
            "pandas.get_dummies"
        )
    return floats


def _floats(given: Any) -> Array | None:
    """Switches, numbers and missing values as float64; None for what holds others."""
    array = np.asarray(given)
    if array.dtype.kind not in "biufO" or any(isinstance(each, str | bytes) for each in array.flat):
        return None
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _check_index(name: str, given: Any, x: Any) -> None:
    """Rows are paired by position, which is wrong where two data frames say otherwise."""
    own: Any = getattr(given, "index", None)
    other: Any = getattr(x, "index", None)
    if hasattr(own, "equals") and hasattr(other, "equals") and not own.equals(other):
        raise InvalidInput(
            f"{name} has another index than x, and rows are paired by position; give {name}.loc[x.index], or "
            f"{name}.to_numpy() where the order is right"
        )


def _names(columns: Any, x: Any) -> tuple[str, ...]:
    """The columns' names as text; x may be a data frame that knows them."""
    if isinstance(columns, str):
        raise InvalidInput(f"columns must be a list of names such as ['age'], not {columns!r}")
    names = tuple(str(name) for name in (tuple(columns) or getattr(x, "columns", ())))
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"two columns are called {double!r}; names must differ")
    return names


def concatenate(parts: list[Rows]) -> Rows:
    """All rows of several, one after the other; raises InvalidInput when their shapes do not fit."""
    if not parts:
        raise InvalidInput("there are no rows to put together")
    if len({(part.columns, part.y is None) for part in parts}) > 1:
        raise InvalidInput("rows cannot be put together when their columns differ or only some of them have targets")
    ids = None if any(part.ids is None for part in parts) else [np.asarray(part.ids) for part in parts]
    try:
        return Rows(
            np.concatenate([part.x for part in parts]),
            None if parts[0].y is None else np.concatenate([part.targets for part in parts]),
            parts[0].columns,
            None if ids is None else np.concatenate(ids),
        )
    except ValueError as error:
        raise InvalidInput(f"the sites' rows cannot be put together: {error}") from error
