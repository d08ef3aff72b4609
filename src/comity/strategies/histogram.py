"""Counts of every column's values between given edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.strategies import reading
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
    """Counts of d columns in b bins, and of what lies outside them."""

    columns: Tree
    counts: Array | None = None  # (d, b)
    outside: Array | None = None  # (d, 3): below the first edge, above the last, missing


@final
@dataclass(frozen=True)
class Histogram(Strategy):
    """How many values of each column lie between the edges, in one round.

    Bins hold their left edge, the last one both (as `numpy.histogram`). What lies below or above and
    what is missing (NaN) is counted too, so that the counts of a column add up to the rows.

    >>> import numpy as np
    >>> site, histogram = Site("A", np.array([[1.0], [2.0], [4.0], [9.0]])), Histogram(edges=(0, 2, 4))
    >>> state = histogram.step(histogram.init({}, Network(1)), histogram.local(None, {}, site)[0])
    >>> print(histogram.table(state))
    histogram
    column   from     to  count
    x0             0.000      0
    x0      0.000  2.000      1
    x0      2.000  4.000      2
    x0      4.000             1
    """

    edges: tuple[float, ...]
    """At least two, finite and rising."""
    columns: tuple[str, ...] = ()
    """Which columns of x; all when empty."""

    def __post_init__(self) -> None:
        if isinstance(self.columns, str):
            raise InvalidInput(f"columns must be a tuple of names such as ('age',), not {self.columns!r}")
        object.__setattr__(self, "edges", bounds.numbers("edges", self.edges))
        object.__setattr__(self, "columns", tuple(self.columns))
        if len(self.edges) < 2 or not (np.diff(self.edges) > 0).all():
            raise InvalidInput(f"edges must be at least two numbers that rise, not {self.edges}")

    def init(self, params: Tree, network: Network) -> State:
        return State({})

    def local(self, state: State | None, memory: Memory, site: Site) -> Given:
        x, chosen = reading.numbers(site), self.columns or reading.column_names(site)
        x = x[:, [reading.position(site, name) for name in chosen]]  # (n, d)
        lowest, highest = self.edges[0], self.edges[-1]
        sums = {
            "columns": reading.columns(chosen),
            "counts": np.array([np.histogram(values[~np.isnan(values)], self.edges)[0] for values in x.T]),
            "outside": np.stack([(x < lowest).sum(axis=0), (x > highest).sum(axis=0), np.isnan(x).sum(axis=0)], axis=1),
        }
        return Contribution(sums, len(x)), memory

    def step(self, state: State, total: Contribution) -> State:
        return State(**total.total)  # pyright: ignore[reportArgumentType]

    def finished(self, state: State) -> bool:
        return state.counts is not None

    def model(self, state: State, memory: Memory) -> Tree:
        return {} if state.counts is None else {"counts": state.counts}

    def table(self, state: State) -> Table | None:
        """One row a bin; a bin without `from` or `to` is open there, one without both counts the missing."""
        if state.counts is None or state.outside is None:
            return None
        rows: list[tuple[str, float | None, float | None, int]] = []
        for name, counts, (below, above, missing) in zip(
            reading.names(state.columns), state.counts, state.outside, strict=True
        ):
            ends = (None, *self.edges, None)
            inner = [int(count) for count in (below, *counts, above)]
            rows += [(name, low, high, n) for low, high, n in zip(ends, ends[1:], inner, strict=False)]
            rows += [(name, None, None, int(missing))] if missing else []
        return Table("histogram", ("column", "from", "to", "count"), rows)
