"""Least squares over all sites' rows.

The normal equations of centred columns, which one Newton-Raphson step solves: sums of products are taken
about zero, which gives the means, then about the means, where nothing cancels any more. Standard errors:
Draper and Smith, "Applied Regression Analysis", 3rd ed. 1998, chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.strategies import reading
from comity.strategies.coefficients import INTERCEPT, Coefficients
from comity.strategies.newton import independent, inverse
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """Means and products of the d columns and y, last; no products before the second round."""

    columns: Tree
    rows: int = 0
    mean: Array | None = None  # (d + 1,)
    scatter: Array | None = None  # (d + 1, d + 1) sums of products about the mean


@final
@dataclass(frozen=True)
class LinearRegression(Strategy):
    """Minimize mean (y - intercept - x·coef)² + l2 · ‖coef‖², in two rounds; the intercept is not penalized.

    Standard errors, t and p come with l2 = 0, from n - d - 1 degrees of freedom. scikit-learn's
    `Ridge(alpha)` is l2 = alpha / n.

    >>> import numpy as np
    >>> site = Site("A", train=(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])))
    >>> line = LinearRegression()
    >>> state = line.init({}, Network(1))
    >>> while not line.finished(state):
    ...     state = line.step(state, line.local(state, {}, site)[0])
    >>> line.model(state, {})
    {'coef': array([2.]), 'intercept': array(1.)}
    """

    l2: float = 0.0

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.not_negative("l2", self.l2)

    def init(self, params: Tree, network: Network) -> State:
        return State({})

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        both = np.column_stack([reading.complete(site), reading.target(site)])  # (n, d + 1)
        centred = both if state.mean is None else both - state.mean
        columns = reading.columns(reading.column_names(site))
        sums = {"columns": columns, "sum": centred.sum(axis=0), "products": centred.T @ centred}
        return Contribution(sums, len(both)), memory

    def step(self, state: State, total: Contribution) -> State:
        rows, columns = int(total.weight), reading.carried(total)
        if rows == 0:
            raise InvalidInput("no site has any rows")
        shift = np.asarray(total.total["sum"]) / rows
        if state.mean is None:
            return State(columns, rows, shift)
        scatter = np.asarray(total.total["products"]) - rows * np.outer(shift, shift)
        # A constant column leaves only the rounding of its own mean.
        varies = np.diag(scatter) > 16 * rows * (np.finfo(float).eps * state.mean) ** 2
        if not varies[-1]:
            raise InvalidInput(f"y is {state.mean[-1]:g} in all {rows} rows; there is nothing to regress on x")
        if self.l2 == 0:
            independent(np.where(varies[:-1], scatter[:-1, :-1], 0.0), reading.names(columns))
        return State(columns, rows, state.mean + shift, scatter)

    def finished(self, state: State) -> bool:
        return state.scatter is not None

    def model(self, state: State, memory: Memory) -> Tree:
        """coef (d,) and intercept (); {} before the second round."""
        if state.mean is None or state.scatter is None:
            return {}
        coef = self._inverse(state) @ state.scatter[:-1, -1]
        return {"coef": coef, "intercept": np.asarray(state.mean[-1] - state.mean[:-1] @ coef)}

    def table(self, state: State) -> Table | None:
        """The coefficients, intercept first; rows, R² and residual variance stand in the title."""
        if state.mean is None or state.scatter is None:
            return None
        fitted = {key: np.asarray(value) for key, value in self.model(state, {}).items()}
        away = np.append(-fitted["coef"], 1.0)
        residual, whole, freedom = float(away @ state.scatter @ away), state.scatter[-1, -1], state.rows - len(away)
        title = f"linear regression, {state.rows} rows"
        title += f", R² {1 - residual / whole:.6g}" if whole > 0 else ""
        covariance = None
        if self.l2 == 0 and freedom > 0:
            title += f", residual variance {residual / freedom:.6g}"
            inside, center = self._inverse(state), state.mean[:-1]
            beside = -inside @ center
            corner = 1 / state.rows + center @ inside @ center
            covariance = (
                np.block([[np.atleast_2d(corner), beside[None]], [beside[:, None], inside]]) * residual / freedom
            )
        return Coefficients(
            names=[INTERCEPT, *reading.names(state.columns)],
            estimate=np.append(fitted["intercept"], fitted["coef"]),
            covariance=covariance,
            freedom=freedom,
        ).table(title)

    def predict(self, model: Tree, x: Array) -> Array:
        coef = reading.fitted(model, "coef")
        return reading.matching(x, len(coef)) @ coef + np.asarray(model["intercept"])  # (n,)

    def _inverse(self, state: State) -> Array:
        assert state.scatter is not None
        d = len(state.scatter) - 1
        return inverse(state.scatter[:d, :d] + state.rows * self.l2 * np.eye(d))
