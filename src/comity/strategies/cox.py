"""Exact Cox proportional hazards over sites, each with its own risk sets.

Cox, "Regression models and life-tables", JRSS B 34, 1972. Ties: Breslow, "Covariance analysis of censored
survival data", Biometrics 30, 1974; Efron, "The efficiency of Cox's likelihood function for censored
data", JASA 72, 1977. Risk sets per site are a model stratified by site (Kalbfleisch and Prentice, "The
Statistical Analysis of Failure Time Data", 2nd ed. 2002, section 4.4): each site has its own baseline
hazard, so that partial likelihoods add and no row has to be compared with one elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final, get_args

import numpy as np

from comity.strategies import newton, reading, unfinished
from comity.strategies.coefficients import Coefficients, chi2_p
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, unknown
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array, Tree

Ties = Literal["efron", "breslow"]


@final
@dataclass(frozen=True)
class CoxRegression(Strategy):
    """Minimize the negative log partial likelihood, divided by all rows, + l2 · ‖coef‖².

    Equal to a Cox model on pooled rows that is stratified by site. y is (n, 2): time, then 1 for an event
    and 0 for a censored row. Standard errors, z and p come with l2 = 0. `predict` gives the log risk x·coef.
    About seven rounds.

    >>> import numpy as np
    >>> y = np.array([[1.0, 1], [2.0, 1], [3.0, 0], [4.0, 1]])
    >>> site, cox = Site("A", train=(np.array([[1.0], [0.0], [1.0], [0.0]]), y)), CoxRegression()
    >>> state = cox.init({}, Network(1))
    >>> while not cox.finished(state):
    ...     state = cox.step(state, cox.local(state, {}, site)[0])
    >>> cox.model(state, {})["coef"].round(4)
    array([0.3466])
    """

    l2: float = 0.0
    ties: Ties = "efron"

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.not_negative("l2", self.l2)
        if self.ties not in get_args(Ties):
            raise unknown("way to handle ties called", self.ties, get_args(Ties))

    def init(self, params: Tree, network: Network) -> newton.State:
        return newton.State({})

    def local(self, state: newton.State, memory: Memory, site: Site) -> Given:
        x, (time, event) = reading.complete(site), reading.survival(site)
        coef, move = newton.points(state, x.shape[1])
        local = partial_likelihood(x, time, event, coef, move, self.ties)
        return newton.contribution(local, reading.column_names(site), len(x)), memory

    def step(self, state: newton.State, total: Contribution) -> newton.State:
        if not np.asarray(total.total["events"]):
            raise InvalidInput(f"no event in {total.weight:g} rows; a Cox model needs events (y's second column is 1)")
        return newton.step(state, total, np.full(len(np.asarray(total.total["gradient"])), self.l2))

    def finished(self, state: newton.State) -> bool:
        return state.done

    def model(self, state: newton.State, memory: Memory) -> Tree:
        """coef (d,); {} before the first round."""
        return {} if state.coef is None else {"coef": state.coef}

    def table(self, state: newton.State) -> Table | None:
        """Coefficients and hazard ratios; log partial likelihood and likelihood-ratio test in the title."""
        if state.coef is None:
            return None
        title = (
            f"Cox regression, {state.rows} rows, {state.events} events, {state.sites} strata, ties by {self.ties}, "
            f"log partial likelihood {-state.loss:.6g}"
        )
        if not self.l2 and state.loss_at_zero is not None:
            chi2, d = 2 * (state.loss_at_zero - state.loss), len(state.coef)
            title += f", likelihood ratio test chi² {chi2:.5g} on {d} df, p {chi2_p(chi2, d):.3g}"
        return Coefficients(
            names=reading.names(state.columns),
            estimate=state.coef,
            covariance=None if self.l2 else state.covariance,
            ratio="hazard ratio",
        ).table(title + unfinished.note(state.done))

    def predict(self, model: Tree, x: Array) -> Array:
        coef = reading.fitted(model, "coef")
        return reading.matching(x, len(coef)) @ coef  # (n,)


def partial_likelihood(x: Array, time: Array, event: Array, coef: Array, move: Array, ties: Ties) -> newton.Local:
    """Negative log partial likelihood of one stratum with gradient and Hessian, in O(n d²) and O(n d) memory.

    For x (n, d), time (n,), event (n,). Each event's mean over its risk set is (S₁ - f·D₁) / (S₀ - f·D₀), with
    S the sums over rows at risk and D those over the m events at the same time; f is 0 for Breslow and
    0/m, 1/m, ..., (m-1)/m for Efron.
    """
    d = x.shape[1]
    if not event.any():
        return newton.Local(loss=0.0, gradient=np.zeros(d), hessian=np.zeros((d, d)), margins=np.zeros(0), events=0)
    order = np.argsort(time, kind="stable")
    x, time, event = x[order] - x.mean(axis=0), time[order], event[order]  # a shift of x cancels; the sums lose less
    _, starts, at = np.unique(time, return_index=True, return_inverse=True)  # (k,), (n,): k distinct times
    score = x @ coef
    top = score.max()
    risk = np.exp(np.maximum(score - top, -700))  # (n,) not 0 after a wild step, so that its loss is finite
    terms = np.column_stack([risk, risk[:, None] * x])  # (n, 1 + d)
    at_risk = _later(np.add, np.add.reduceat(terms, starts))  # (k, 1 + d): S₀ and S₁
    tied = np.add.reduceat(terms * event[:, None], starts)  # (k, 1 + d): D₀ and D₁

    when = at[event]  # (e,) rising
    many = np.bincount(when, minlength=len(starts))  # (k,)
    first = np.cumsum(many) - many
    share = (np.arange(len(when)) - first[when]) / many[when] if ties == "efron" else np.zeros(len(when))  # (e,)
    sums = at_risk[when] - share[:, None] * tied[when]  # (e, 1 + d)
    whole, mean = sums[:, 0], sums[:, 1:] / sums[:, :1]
    # Each row's weight in the Hessian: its risk, shared out among the events it was at risk for.
    earlier = np.cumsum(np.bincount(when, 1 / whole, minlength=len(starts)))[at]  # (n,)
    itself = np.bincount(when, share / whole, minlength=len(starts))[at] * event  # (n,)
    weight = risk * (earlier - itself)

    moved = x @ move
    highest = _later(np.maximum, np.maximum.reduceat(moved, starts))[when]
    lowest = _later(np.minimum, np.minimum.reduceat(moved, starts))[when]
    behind = moved[event] - highest  # (e,) 0 where nobody at risk moved further
    return newton.Local(
        loss=float((top + np.log(whole)).sum() - score[event].sum()),
        gradient=mean.sum(axis=0) - x[event].sum(axis=0),
        hessian=(x * weight[:, None]).T @ x - mean.T @ mean,
        margins=np.where(behind < -1e-6, behind, moved[event] - lowest),
        events=len(when),
    )


def _later(function: np.ufunc, values: Array) -> Array:
    """`function` accumulated from the last row to each."""
    return function.accumulate(values[::-1], axis=0)[::-1]
