"""Sums over tasks, divided and averaged."""

import numpy as np

from comity.values.tree import Array


def ratio(over: Array, under: Array) -> Array:
    """`over / under` in float64; NaN where there is nothing to divide by."""
    return np.divide(over, under, out=np.full(np.shape(under), np.nan), where=under > 0)


def mean_defined(values: Array) -> float:
    """The mean of the values that are not NaN; NaN when there is none.

    >>> mean_defined(np.array([1.0, np.nan, 3.0]))
    2.0
    """
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
