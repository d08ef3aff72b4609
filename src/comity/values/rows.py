"""The rows of one site: what an opener gives and what never leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.tree import Array


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Features `x` (n, ...) and targets `y` (n, ...) of n rows.

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
        object.__setattr__(self, "x", _array("x", self.x))
        if self.x.ndim == 0:
            raise InvalidInput(f"x must be an array with one entry a row, not a {type(self.x.item()).__name__}")
        for name in ("y", "ids"):
            array = getattr(self, name)
            if array is not None:
                array = _array(name, array)
                object.__setattr__(self, name, array)
                if array.ndim == 0 or len(array) != len(self.x):
                    raise InvalidInput(f"{name} has shape {array.shape} but x has {len(self.x)} rows")
        if self.columns and (self.x.ndim != 2 or len(self.columns) != self.x.shape[1]):
            raise InvalidInput(f"{len(self.columns)} column names were given for x of shape {self.x.shape}")
        if len(set(self.columns)) < len(self.columns):
            double = next(name for name in self.columns if self.columns.count(name) > 1)
            raise InvalidInput(f"two columns are called {double!r}; names must differ")

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


def _array(name: str, given: Any) -> Array:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InvalidInput(
            f"{name} must be an array with one entry a row, but its parts differ in shape; give rows as Rows(x, y) or "
            "as a tuple (x, y)"
        ) from error


def _names(columns: Any, x: Any) -> tuple[str, ...]:
    """The columns' names as text; x may be a data frame that knows them."""
    if isinstance(columns, str):
        raise InvalidInput(f"columns must be a list of names such as ['age'], not {columns!r}")
    return tuple(str(name) for name in (tuple(columns) or getattr(x, "columns", ())))


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
