"""Kaplan-Meier curves on a time grid, and the log-rank test between groups.

Kaplan and Meier, "Nonparametric estimation from incomplete observations", JASA 53, 1958; variance by
Greenwood, 1926; intervals on the log(-log) scale: Kalbfleisch and Prentice, "The Statistical Analysis of
Failure Time Data", 2nd ed. 2002, section 1.4. Log-rank: Mantel, "Evaluation of survival data and two new
rank order statistics arising in its consideration", Cancer Chemotherapy Reports 50, 1966.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.strategies import reading
from comity.strategies.coefficients import chi2_p
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array, Tree

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@final
@dataclass(frozen=True, slots=True)
class State:
    """Counts of g groups at t times, and the log-rank sums of the sites' own risk sets."""

    events: Array | None = None  # (g, t) in the interval that ends at each time, which it includes
    censored: Array | None = None  # (g, t) since the last time, which it includes
    at_risk: Array | None = None  # (g, t)
    off_grid: int = 0
    """Events that were moved to the next time of the grid."""
    beyond: int = 0
    """Events after the last time of the grid, where they are not seen."""
    difference: Array | None = None  # (g,) observed - expected, summed over sites
    covariance: Array | None = None  # (g, g)


@final
@dataclass(frozen=True)
class KaplanMeier(Strategy):
    """Survival with 95 % intervals on a grid of times, per group, in one round. y is (n, 2): time, event.

    Exact when every event falls on a time of the grid. An event between two times is counted at the later
    one, and rows censored between them leave before it; the table's title says how many events were moved.
    The log-rank test compares groups over all sites by the grid's counts (`log_rank`), and stratified by
    site from each site's own event times, which is exact whatever the grid.

    >>> import numpy as np
    >>> y = np.array([[1.0, 1], [2.0, 0], [3.0, 1], [4.0, 1]])
    >>> site, curve = Site("A", train=(np.zeros((4, 1)), y)), KaplanMeier(times=(1, 2, 3, 4))
    >>> state = curve.step(curve.init({}, Network(1)), curve.local(curve.init({}, Network(1)), {}, site)[0])
    >>> curve.table(state).column("survival")
    [0.75, 0.75, 0.375, 0.0]
    """

    times: tuple[float, ...]
    """The grid, rising; in the unit of y."""
    group: str = ""
    """The column of x that tells the groups apart; one group when empty."""
    values: tuple[float, ...] = (0.0, 1.0)
    """The group column's values; a row with another value is refused."""

    def __post_init__(self) -> None:
        for name in ("times", "values"):
            object.__setattr__(self, name, bounds.numbers(name, getattr(self, name)))
        if not (np.diff(self.times) > 0).all():
            raise InvalidInput(f"times must rise, not {self.times}")
        if len(set(self.values)) != len(self.values):
            raise InvalidInput(f"values must be different, not {self.values}")

    def init(self, params: Tree, network: Network) -> State:
        return State()

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        time, event = reading.survival(site)
        groups, grid = self._groups(site), np.array(self.times)
        ends = np.searchsorted(grid, time, side="left")  # (n,) the first time not before it: an event's
        leaves = np.searchsorted(grid, time, side="right")  # (n,) the first time after it: a censored row's
        on_grid = np.isin(time[event], grid)
        own = np.unique(time[event])
        observed = np.stack([(time[g & event] == own[:, None]).sum(axis=1) for g in groups])  # (g, own)
        at_risk = np.stack([(time[g] >= own[:, None]).sum(axis=1) for g in groups])  # (g, own)
        difference, covariance = _log_rank(observed, at_risk)
        size = len(grid) + 1
        sums = {
            "rows": np.array([int(g.sum()) for g in groups]),
            "events": np.stack([np.bincount(ends[g & event], minlength=size) for g in groups]),  # (g, t + 1)
            "censored": np.stack([np.bincount(leaves[g & ~event], minlength=size) for g in groups]),  # (g, t + 1)
            "off_grid": np.asarray((~on_grid & (ends[event] < len(grid))).sum()),
            "difference": difference,
            "covariance": covariance,
        }
        return Contribution(sums, len(time)), memory

    def step(self, state: State, total: Contribution) -> State:
        sums = {key: np.asarray(value) for key, value in total.total.items()}
        events, censored = sums["events"][:, :-1], sums["censored"][:, :-1]
        gone = np.cumsum(events, axis=1) - events + np.cumsum(censored, axis=1)
        return State(
            events=events,
            censored=censored,
            at_risk=sums["rows"][:, None] - gone,
            off_grid=int(sums["off_grid"]),
            beyond=int(sums["events"][:, -1].sum()),
            difference=sums["difference"],
            covariance=sums["covariance"],
        )

    def finished(self, state: State) -> bool:
        return state.events is not None

    def model(self, state: State, memory: Memory) -> Tree:
        """survival and its Greenwood variance, both (g, t); {} before the round."""
        if state.events is None or state.at_risk is None:
            return {}
        survival, relative = _product_limit(state.events, state.at_risk)
        return {"survival": survival, "variance": survival**2 * relative}

    def table(self, state: State) -> Table | None:
        """One row a group and time: at risk, events, censored since the last time, survival and its 95 % interval."""
        if state.events is None or state.censored is None or state.at_risk is None:
            return None
        survival, relative = _product_limit(state.events, state.at_risk)
        low, high = _interval(survival, relative)
        error = survival * np.sqrt(relative)
        counts, parts = (state.at_risk, state.events, state.censored), (survival, error, low, high)
        rows = [
            (self._name(g), time, *(int(n[g, i]) for n in counts), *(float(p[g, i]) for p in parts))
            for g in range(len(survival))
            for i, time in enumerate(self.times)
        ]
        heads = ("group", "time", "at risk", "events", "censored", "survival", "std error", "95% low", "95% high")
        return Table(f"Kaplan-Meier, {self._how_exact(state)}", heads, rows)

    def medians(self, state: State) -> Table | None:
        """The first time by which half have had the event, and its 95 % interval (Brookmeyer and Crowley 1982).

        A cell is empty where the curve or its limit does not come down to one half.
        """
        if state.events is None or state.at_risk is None:
            return None
        survival, relative = _product_limit(state.events, state.at_risk)
        low, high = _interval(survival, relative)
        rows = [
            (self._name(g), *(self._half(curve[g]) for curve in (survival, low, high))) for g in range(len(survival))
        ]
        return Table("median survival", ("group", "median", "95% low", "95% high"), rows)

    def log_rank(self, state: State) -> Table | None:
        """The test that all groups have one hazard: over all rows by the grid, and stratified by site exactly."""
        if state.events is None or state.at_risk is None or state.difference is None or state.covariance is None:
            return None
        rows = [
            ("all sites as one", *_test(*_log_rank(state.events, state.at_risk))),
            ("stratified by site", *_test(state.difference, state.covariance)),
        ]
        return Table(f"log-rank test, {self._how_exact(state)}", ("test", "chi2", "df", "p"), rows)

    def _groups(self, site: Site) -> list[Array]:
        """A mask (n,) for each group."""
        if not self.group:
            return [np.ones(len(site.data), dtype=bool)]
        column = reading.numbers(site)[:, reading.position(site, self.group)]
        if not np.isin(column, self.values).all():
            raise InvalidInput(
                f"site {site.name!r}: column {self.group!r} holds values other than {self.values}, or missing ones; "
                "list all values, leave the other rows out"
            )
        return [column == value for value in self.values]

    def _name(self, group: int) -> str:
        return f"{self.group} = {self.values[group]:g}" if self.group else "all"

    def _half(self, curve: Array) -> float | None:
        below = np.flatnonzero(curve <= 0.5 + 1e-9)  # 23/24 · 22/23 · ... · 12/13 is rounded up
        return self.times[below[0]] if len(below) else None

    def _how_exact(self, state: State) -> str:
        parts = [f"{state.off_grid} events moved to the next time of the grid"] if state.off_grid else []
        parts += [f"{state.beyond} events after its last time left out"] if state.beyond else []
        return " and ".join(parts) or "exact: every event falls on a time of the grid"


def _product_limit(events: Array, at_risk: Array) -> tuple[Array, Array]:
    """Survival (g, t), and Greenwood's sum of d / (n (n - d)), which is 0 where nobody survives."""
    n = np.maximum(at_risk, 1)
    survival = np.cumprod(1 - events / n, axis=1)
    terms = events / (n * np.maximum(n - events, 1))
    return survival, np.where(survival > 0, np.cumsum(terms, axis=1), 0.0)


def _interval(survival: Array, relative: Array) -> tuple[Array, Array]:
    """95 % limits of the survival, both (g, t); the survival itself where it is 0 or 1."""
    inside = (survival > 0) & (survival < 1)
    log = np.log(np.where(inside, survival, 0.5))
    spread = np.exp(Z * np.sqrt(relative) / -log)
    low, high = np.exp(log * spread), np.exp(log / spread)
    return np.where(inside, low, survival), np.where(inside, high, survival)


def _log_rank(events: Array, at_risk: Array) -> tuple[Array, Array]:
    """Observed - expected events (g,) and their covariance (g, g), from counts (g, t)."""
    d, n = events.sum(axis=0), np.maximum(at_risk.sum(axis=0), 1)  # (t,)
    share = at_risk / n  # (g, t)
    spread = d * (n - d) / np.maximum(n - 1, 1)  # (t,)
    covariance = np.diag((share * spread).sum(axis=1)) - (share * spread) @ share.T
    return (events - share * d).sum(axis=1), covariance


def _test(difference: Array, covariance: Array) -> tuple[float, int, float]:
    """Chi-squared, its degrees of freedom and p; a group that was never at risk does not count."""
    seen = np.diag(covariance) > 0
    df = max(int(seen.sum()) - 1, 0)
    inverse = np.linalg.pinv(covariance[np.ix_(seen, seen)], hermitian=True)
    chi2 = float(difference[seen] @ inverse @ difference[seen])
    return chi2, df, chi2_p(chi2, df)
