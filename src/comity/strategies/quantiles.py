"""Exact quantiles by counting, without a single value leaving its site.

A radix selection over the bits of the numbers: floats are mapped to unsigned integers of the same
order, and each round counts, among the values that still agree with what is known of the quantile,
those for each of the 256 possible next bytes. Eight rounds fix all 64 bits. (Knuth, The Art of Computer
Programming, vol. 3, section 5.2.5, for the order of digits; Saukas and Song, "A note on parallel
selection on coarse-grained multicomputers", Algorithmica 24, 1999, for selection by counts.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.strategies import reading, unfinished
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array, Tree

BYTES = 8
SIGN = np.uint64(1 << 63)
FINITE = np.array([-1.0, 1.0]) * np.finfo(np.float64).max


@final
@dataclass(frozen=True, slots=True)
class State:
    """What is known of k quantiles of d columns."""

    columns: Tree
    round: int = 0
    """Bytes known."""
    rows: int = 0
    count: Array | None = None  # (d,) values that are not missing
    prefix: Array | None = None  # (d, k) uint64: the first bytes of each quantile
    rank: Array | None = None  # (d, k): its rank, from 1, among the values that begin with them


@final
@dataclass(frozen=True)
class Quantiles(Strategy):
    """Quantiles of every column, all at once, in at most eight rounds.

    The q-quantile of n values is the smallest value that at least q·n of them do not exceed
    (`numpy.quantile(..., method="inverted_cdf")`); NaN is missing and not counted. An exact quantile is one
    person's value: a tolerance above 0 gives the middle of an interval no wider than it, and fewer rounds.

    >>> import numpy as np
    >>> site, quantiles = Site("A", np.arange(1.0, 10.0)[:, None]), Quantiles(q=(0.5,))
    >>> state = quantiles.init({}, Network(1))
    >>> while not quantiles.finished(state):
    ...     state = quantiles.step(state, quantiles.local(state, {}, site)[0])
    >>> quantiles.table(state).column("0.5")
    [5.0]
    """

    q: tuple[float, ...] = (0.25, 0.5, 0.75)
    tolerance: float = 0.0
    """In the unit of the columns; 0 gives every quantile to its last bit."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        object.__setattr__(self, "q", bounds.numbers("q", self.q))
        if not all(0 <= q <= 1 for q in self.q):
            raise InvalidInput(f"q must be numbers from 0 to 1, not {self.q}")
        bounds.not_negative("tolerance", self.tolerance)

    def init(self, params: Tree, network: Network) -> State:
        return State({})

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        x = reading.numbers(site)
        prefix = np.zeros((x.shape[1], len(self.q)), np.uint64) if state.prefix is None else state.prefix
        counts = [
            [_next_bytes(values, known, state.round) for known in row] for values, row in zip(x.T, prefix, strict=True)
        ]
        columns = reading.columns(reading.column_names(site))
        return Contribution({"columns": columns, "counts": np.array(counts)}, len(x)), memory  # (d, k, 256)

    def step(self, state: State, total: Contribution) -> State:
        rows = int(total.weight)
        if state.round and rows != state.rows:
            raise InvalidInput(
                f"quantiles need the same rows in every round, but {state.rows} became {rows}; run without dropout"
            )
        below = np.asarray(total.total["counts"]).cumsum(axis=2)  # (d, k, 256)
        if state.count is None or state.prefix is None or state.rank is None:
            count = below[:, 0, -1]
            # q·n may lie a rounding error above a whole number, which must not push the rank up by one.
            rank = np.maximum(np.ceil(count[:, None] * np.array(self.q) - 1e-9), 1).astype(np.int64)
            prefix = np.zeros(rank.shape, np.uint64)
        else:
            count, rank, prefix = state.count, state.rank, state.prefix
        byte = (below < rank[..., None]).sum(axis=2).clip(max=255)  # (d, k)
        before = np.take_along_axis(below, np.maximum(byte - 1, 0)[..., None], axis=2)[..., 0]
        prefix = (prefix << np.uint64(8)) | byte.astype(np.uint64)
        return State(reading.carried(total), state.round + 1, rows, count, prefix, rank - np.where(byte > 0, before, 0))

    def finished(self, state: State) -> bool:
        if state.count is None or state.round == BYTES:
            return state.round == BYTES
        low, high = _interval(state)
        return bool((high - low <= self.tolerance)[state.count > 0].all())

    def model(self, state: State, memory: Memory) -> Tree:
        """The middle of what is known of each quantile, (d, k); 0 for a column without values."""
        if state.count is None:
            return {}
        low, high = _interval(state)
        return {"quantiles": np.where(state.count[:, None] > 0, low + (high - low) / 2, 0.0)}

    def table(self, state: State) -> Table | None:
        if state.count is None:
            return None
        found = self.model(state, {})["quantiles"]
        rows = [
            (name, int(n), *(float(value) if n else None for value in values))
            for name, n, values in zip(reading.names(state.columns), state.count, np.asarray(found), strict=True)
        ]
        title = f"quantiles{unfinished.note(self.finished(state))}"
        return Table(title, ("column", "count", *(f"{q:g}" for q in self.q)), rows)


def _next_bytes(values: Array, known: np.uint64, round: int) -> Array:
    """How often each byte follows the `round` bytes already known, among the values that begin with them."""
    bits = _ordered(values[~np.isnan(values)])
    left = np.uint64(8 * (BYTES - round - 1))
    if round:
        bits = bits[(bits >> left >> np.uint64(8)) == known]
    return np.bincount(((bits >> left) & np.uint64(255)).astype(np.int64), minlength=256)


def _ordered(values: Array) -> Array:
    """Unsigned integers in the order of the floats: the sign bit flipped, all bits of a negative one."""
    bits = (values + 0.0).view(np.uint64)  # adding 0 makes -0 the same as 0
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def _interval(state: State) -> tuple[Array, Array]:
    """The smallest and the largest finite float that begin with what is known, both (d, k)."""
    assert state.prefix is not None
    left = 8 * (BYTES - state.round)
    first = state.prefix << np.uint64(left) if state.round else np.zeros_like(state.prefix)
    bits = np.stack([first, first | np.uint64((1 << left) - 1)]).clip(*_ordered(FINITE))
    low, high = np.where(bits & SIGN, bits & ~SIGN, ~bits).view(np.float64)
    return low, high
