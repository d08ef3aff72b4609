"""Numeric targets beside their predictions."""

from __future__ import annotations

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.tree import Array


def numeric(predictions: Array, rows: Rows) -> tuple[Array, Array, Array]:
    """(target, error, measured), each (n, t) in float64, from predictions and targets (n,) or (n, t).

    A target that is NaN was not measured; it counts as 0 with an error of 0. Raises InvalidInput when
    shapes differ or a prediction is not finite.
    """
    given, y = np.asarray(predictions), np.asarray(rows.targets)
    given, y = (a.reshape(-1, 1) if a.ndim == 1 else a for a in (given, y))
    if given.ndim != 2 or given.shape != y.shape:
        raise InvalidInput(f"predictions of shape {given.shape} do not fit targets of shape {y.shape}")
    if given.dtype.kind not in "biuf" or y.dtype.kind not in "biuf" or not np.isfinite(given).all():
        raise InvalidInput("this metric needs finite numbers as predictions and numbers as targets, and got others")
    measured = ~np.isnan(y)
    target = np.where(measured, y, 0).astype(np.float64)
    return target, np.where(measured, given.astype(np.float64) - target, 0), measured
