"""Logistic regression over all sites' rows by Newton-Raphson (iteratively reweighted least squares).

McCullagh and Nelder, "Generalized Linear Models", 2nd ed. 1989, section 4.4. Over sites by summed
gradients and Hessians: Wu et al., "Grid Binary LOgistic REgression (GLORE)", JAMIA 19, 2012.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import final

import numpy as np

from comity.strategies import newton, reading, unfinished
from comity.strategies.coefficients import INTERCEPT, Coefficients
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True)
class LogisticRegression(Strategy):
    """Minimize the mean negative log-likelihood + l2 · ‖coef‖², for y of 0 and 1; the intercept is not penalized.

    Standard errors, z and p come with l2 = 0. Separated classes are refused by the names of the columns
    that separate them. scikit-learn's `LogisticRegression(C)` is l2 = 1 / (2 · C · n). About ten rounds.

    >>> import numpy as np
    >>> site = Site("A", train=(np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 1, 1, 1])))
    >>> ridge = LogisticRegression(l2=0.1)
    >>> state = ridge.init({}, Network(1))
    >>> while not ridge.finished(state):
    ...     state = ridge.step(state, ridge.local(state, {}, site)[0])
    >>> ridge.predict(ridge.model(state, {}), np.array([[0.0], [1.0]])).round(3)
    array([0.703, 0.797])
    """

    l2: float = 0.0

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.not_negative("l2", self.l2)

    def init(self, params: Tree, network: Network) -> newton.State:
        return newton.State({})

    def local(self, state: newton.State, memory: Memory, site: Site) -> Given:
        x, y = reading.complete(site), reading.target(site)
        if not np.isin(y, (0, 1)).all():
            raise InvalidInput(f"site {site.name!r}: y must hold 0 and 1 only")
        z = np.column_stack([np.ones(len(x)), x])  # (n, 1 + d)
        coef, move = newton.points(state, z.shape[1])
        score = z @ coef
        yes, no = np.exp(-np.logaddexp(0, -score)), np.exp(-np.logaddexp(0, score))  # (n,) probabilities of 1 and 0
        local = newton.Local(
            loss=float((np.logaddexp(0, score) - y * score).sum()),
            gradient=(yes - y) @ z,
            hessian=(z * (yes * no)[:, None]).T @ z,
            margins=(2 * y - 1) * (z @ move),
            events=int(y.sum()),
        )
        return newton.contribution(local, [INTERCEPT, *reading.column_names(site)], len(x)), memory

    def step(self, state: newton.State, total: Contribution) -> newton.State:
        positives = int(np.asarray(total.total["events"]))
        if positives in (0, int(total.weight)):
            raise InvalidInput(
                f"all rows must not be of one class, but {positives} of {total.weight:g} rows have y = 1"
            )
        ridge = np.full(len(np.asarray(total.total["gradient"])), self.l2)
        ridge[0] = 0.0
        return newton.step(state, total, ridge)

    def finished(self, state: newton.State) -> bool:
        return state.done

    def model(self, state: newton.State, memory: Memory) -> Tree:
        """coef (d,) and intercept (); {} before the first round."""
        return {} if state.coef is None else {"coef": state.coef[1:], "intercept": np.asarray(state.coef[0])}

    def table(self, state: newton.State) -> Table | None:
        """The coefficients, intercept first, with odds ratios; log-likelihood and McFadden's R² in the title."""
        if state.coef is None:
            return None
        p = state.events / state.rows
        alone = state.rows * (p * log(p) + (1 - p) * log(1 - p))
        return Coefficients(
            names=reading.names(state.columns),
            estimate=state.coef,
            covariance=None if self.l2 else state.covariance,
            ratio="odds ratio",
        ).table(
            f"logistic regression, {state.rows} rows, {state.events} with y = 1, log-likelihood {-state.loss:.6g}, "
            f"McFadden's R² {1 + state.loss / alone:.4g}{unfinished.note(state.done)}"
        )

    def predict(self, model: Tree, x: Array) -> Array:
        """The probability of 1, (n,)."""
        coef = reading.fitted(model, "coef")
        score = reading.matching(x, len(coef)) @ coef + np.asarray(model["intercept"])
        return np.exp(-np.logaddexp(0, -score))
