"""Descriptive statistics of every column.

The sums of powers about a shift are taken twice: about zero, which gives the mean, then about that
mean, where nothing cancels any more. Shifted sums: Chan, Golub and LeVeque, "Algorithms for computing
the sample variance", The American Statistician 37, 1983. Skewness and excess kurtosis are the adjusted
G1 and G2 of Joanes and Gill, "Comparing measures of sample skewness and kurtosis", The Statistician 47, 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.strategies import reading, unfinished
from comity.values.contribution import Contribution
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """Counts and central moments of d columns, zero where a column has no value."""

    columns: Tree
    round: int = 0
    count: Array | None = None  # (d,)
    missing: Array | None = None  # (d,)
    mean: Array | None = None  # (d,)
    moments: Array | None = None  # (3, d): second, third and fourth central moment


@final
@dataclass(frozen=True)
class Statistics(Strategy):
    """Count, missing, mean, variance, standard deviation, skewness and kurtosis of every column, in two rounds.

    NaN is a missing value. Variance divides by n - 1. The smallest and largest value are left out: only
    sums travel, an extreme is not a sum, and it is one person's value; `Quantiles` comes as near as wanted.

    >>> import numpy as np
    >>> site, ages = Site("A", np.array([[54.0], [61.0], [np.nan]])), Statistics()
    >>> state = ages.init({}, Network(1))
    >>> for _ in range(2):
    ...     state = ages.step(state, ages.local(state, {}, site)[0])
    >>> ages.table(state).records()[0]["mean"]
    57.5
    """

    def init(self, params: Tree, network: Network) -> State:
        return State({})

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        x = reading.numbers(site)
        missing = np.isnan(x)
        shifted = np.where(missing, 0.0, x if state.mean is None else x - state.mean)  # (n, d)
        sums = {
            "columns": reading.columns(reading.column_names(site)),
            "count": (~missing).sum(axis=0),
            "missing": missing.sum(axis=0),
            "powers": np.stack([(shifted**p).sum(axis=0) for p in (1, 2, 3, 4)]),  # (4, d)
        }
        return Contribution(sums, len(x)), memory

    def step(self, state: State, total: Contribution) -> State:
        sums = total.total
        count = np.asarray(sums["count"])
        first, second, third, fourth = np.asarray(sums["powers"]) / np.maximum(count, 1)
        mean = first if state.mean is None else state.mean + first
        central = np.stack([
            second - first**2,
            third - 3 * first * second + 2 * first**3,
            fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4,
        ])  # fmt: skip
        # A column of one value differs from its own rounded mean; without this it would have a skewness.
        constant = central[0] <= (16 * np.finfo(float).eps * mean) ** 2
        moments = np.where(constant, 0.0, central)  # (3, d)
        missing = np.asarray(sums["missing"])
        return State(reading.carried(total), state.round + 1, count, missing, mean, moments)

    def finished(self, state: State) -> bool:
        return state.round >= 2

    def model(self, state: State, memory: Memory) -> Tree:
        if state.count is None or state.mean is None or state.moments is None:
            return {}
        variance = state.moments[0] * state.count / np.maximum(state.count - 1, 1)
        return {"count": state.count, "mean": state.mean, "variance": variance}

    def table(self, state: State) -> Table | None:
        if state.count is None or state.missing is None or state.mean is None or state.moments is None:
            return None
        found = zip(state.count, state.missing, state.mean, state.moments.T, strict=True)
        rows = [
            (name, int(n), int(missing), *_describe(int(n), float(mean), [float(m) for m in moments]))
            for name, (n, missing, mean, moments) in zip(reading.names(state.columns), found, strict=True)
        ]
        heads = ("column", "count", "missing", "mean", "variance", "sd", "skewness", "kurtosis")
        return Table(f"statistics{unfinished.note(self.finished(state))}", heads, rows)


def _describe(n: int, mean: float, moments: list[float]) -> list[float | None]:
    """Mean, variance, standard deviation, G1 and G2; None where n or the spread does not allow them."""
    m2, m3, m4 = moments
    variance = m2 * n / (n - 1) if n > 1 else None
    varies = m2**2 > 0  # nor does a column whose values are so small that their powers vanish
    skewness = (n * (n - 1)) ** 0.5 / (n - 2) * m3 / m2**1.5 if n > 2 and varies else None
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6) if n > 3 and varies else None
    return [mean if n else None, variance, None if variance is None else variance**0.5, skewness, kurtosis]
