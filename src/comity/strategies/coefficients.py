"""The table of a fitted regression, as a statistician expects it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from comity.values.table import Cell, Table
from comity.values.tree import Array

INTERCEPT = "(intercept)"
"""What the intercept is called among the columns."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """Estimates with their covariance, which is None where a ridge makes intervals meaningless."""

    names: Sequence[str]
    estimate: Array  # (d,)
    covariance: Array | None  # (d, d)
    freedom: float | None = None
    """Degrees of freedom of a t distribution; None for the normal one."""
    ratio: str = ""
    """What exp(coefficient) is called, e.g. "hazard ratio"; empty when it means nothing."""

    def table(self, title: str) -> Table:
        """Estimate, standard error, z or t, p (two-sided), 95 % interval, and the ratio with its own."""
        heads = ["column", "coefficient"]
        values: list[Sequence[Cell]] = [self.names, self.estimate.tolist()]
        intervals: list[Array] = []
        if self.covariance is not None:
            error = np.sqrt(np.diag(self.covariance))
            intervals = [self.estimate - self._quantile() * error, self.estimate + self._quantile() * error]
            heads += ["std error", "z" if self.freedom is None else "t", "p", "95% low", "95% high"]
            z = self.estimate / error
            values += [each.tolist() for each in (error, z, self._p(z), *intervals)]
        if self.ratio:
            heads += [
                self.ratio,
                *(f"{self.ratio} 95% {end}" for end, _ in zip(("low", "high"), intervals, strict=False)),
            ]
            with np.errstate(over="ignore"):
                values += [np.exp(each).tolist() for each in (self.estimate, *intervals)]
        return Table(title, heads, list(zip(*values, strict=True)))

    def _quantile(self) -> float:
        from scipy.special import ndtri, stdtrit

        return float(ndtri(0.975) if self.freedom is None else stdtrit(self.freedom, 0.975))

    def _p(self, z: Array) -> Array:
        from scipy.special import ndtr, stdtr

        return 2 * (ndtr(-np.abs(z)) if self.freedom is None else stdtr(self.freedom, -np.abs(z)))


def chi2_p(statistic: float, freedom: float) -> float:
    """The chance of a chi-squared variable above this; 1 without degrees of freedom.

    >>> round(chi2_p(3.841, 1), 3)
    0.05
    """
    from scipy.special import chdtrc

    return float(chdtrc(freedom, statistic)) if freedom > 0 else 1.0
