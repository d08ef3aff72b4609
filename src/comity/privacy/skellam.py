"""Skellam noise: whole numbers whose sums are again Skellam, so that many add it and nobody knows it.

Agarwal, Kairouz and Liu, "The Skellam Mechanism for Differentially Private Federated Learning", NeurIPS 2021. The
difference of two Poisson numbers of the same mean is symmetric around 0; its variance is the sum of the means.

Numbers are drawn by inverting the tail P(|K| > k), which is tabled: to 2^-63 of each probability, and no number is ever
beyond the table, so that a bound on sums is certain. The table comes from the ratios of the modified Bessel functions,
P(k + 1) / P(k) = I(k + 1, v) / I(k, v), by their continued fraction from above (Amos 1974), which loses no digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, inf, log, log1p, sqrt
from typing import final

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.noise import Random
from comity.values.tree import Array

WIDEST = 2.0**16
"""The largest standard deviation of a site's noise, in steps: the wider, the less rounding counts, and the larger the
table."""

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024, 2048, 4096)
"""Of Rényi divergences; the bound is for whole ones."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What every site adds to its part of a sum."""

    deviation: float
    """Standard deviation of the noise that is enough on the sum, in the unit of its numbers."""
    shares: int
    """How many sites' noise is enough: as few as may remain to the end, less those that may tell theirs."""

    @property
    def each(self) -> float:
        """Standard deviation of a site's noise, in the unit of the numbers."""
        return self.deviation / sqrt(self.shares)

    def fraction(self) -> int:
        """How many bits after the point make a site's noise as wide as the table allows."""
        return floor(log(WIDEST / self.each, 2))

    def variance(self, fraction: int) -> float:
        """Of a site's noise, in squares of steps of 2^-fraction."""
        return (self.each * 2.0**fraction) ** 2


def widest(variance: float) -> int:
    """The largest magnitude that is ever drawn: ten standard deviations, beyond which lies less than 2^-64."""
    return ceil(10 * sqrt(variance) + 30)


def drawn(random: Random, count: int, variance: float) -> Array:
    """Skellam numbers (count,) of this variance, as int64.

    >>> drawn(lambda count: b"\\xff" * count, 2, 4.0)
    array([0, 0])
    """
    bits = np.frombuffer(random(8 * count), "<u8")
    tail = ((bits >> np.uint64(1)) + 0.5) * 2.0**-63  # (0, 1), as fine near 0 as floats are
    table = _tails(variance)  # ascending
    size = len(table) - np.searchsorted(table, tail, side="right")
    return np.where(bits & np.uint64(1), size, -size)


@lru_cache(8)
def _tails(variance: float) -> Array:
    """P(|K| > k) from the largest k down to 0."""
    most = widest(variance)
    ratios = np.empty(most)
    ratio = 0.0
    for order in range(most + 64, 0, -1):  # I(order) / I(order - 1); 64 further and the start is forgotten
        ratio = 1 / (2 * order / variance + ratio)
        if order <= most:
            ratios[order - 1] = ratio
    weights = np.exp(np.concatenate([[0.0], np.cumsum(np.log(ratios))]))  # P(k) / P(0)
    above = np.cumsum(weights[:0:-1])  # small ones first
    return 2 * above / (2 * above[-1] + 1)


def epsilon(delta: float, *, variance: float, l2: float, l1: float, rounds: int) -> float:
    """ε at δ of so many sums of whole numbers with noise of this variance: an upper bound, by Rényi DP.

    variance, l2, l1: of the noise on a sum, and the largest norms that a site adds, in steps. Agarwal et al. 2021,
    theorem 3.3; from Rényi DP by Canonne, Kamath and Steinke 2020, proposition 12.
    """
    least = inf
    for order in ORDERS:
        main = order * l2**2 / (2 * variance)
        extra = min(((2 * order - 1) * l2**2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance))
        spent = rounds * (main + extra) + log1p(-1 / order) - log(delta * order) / (order - 1)
        least = min(least, spent)
    return max(least, 0.0)


def norms(clip: float, coordinates: int) -> tuple[float, float]:
    """(largest Euclidean norm, largest sum of magnitudes) of a site's whole numbers, by certain bounds.

    clip: of its numbers before they were rounded up or down, each by less than one step, in steps.
    """
    l2 = clip * (1 + 2.0**-20) + sqrt(coordinates)  # float32 rounds what was scaled down
    return l2, min(sqrt(coordinates) * l2, l2**2)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums of vectors that are noised by their sites."""

    clip: float
    """The largest norm of a vector."""
    coordinates: int
    rounds: int
    """How many sums there are."""

    def epsilon(self, delta: float, noise: Noise) -> float:
        """ε under this noise, where vectors are encoded as finely as it allows."""
        fraction = noise.fraction()
        l2, l1 = norms(self.clip * 2.0**fraction, self.coordinates)
        variance = noise.variance(fraction) * noise.shares
        return epsilon(delta, variance=variance, l2=l2, l1=l1, rounds=self.rounds)


def noise(budget: float, delta: float, sums: Sums, *, shares: int) -> Noise:
    """The noise, nearly the least, with which these sums stay within ε at δ.

    Raises InvalidInput where no noise does.
    """

    def spent(multiplier: float) -> float:
        return sums.epsilon(delta, Noise(deviation=multiplier * sums.clip, shares=shares))

    low = high = 1.0
    while spent(high) > budget:
        low, high = high, high * 2
        if high > 1e6:
            raise InvalidInput(f"no noise keeps ε = {budget:g} over so many rounds; take fewer, or a larger epsilon")
    while spent(low) <= budget and low > 1e-3:
        low, high = low / 2, low
    while high / low > 1 + 1e-4:
        middle = sqrt(low * high)
        low, high = (low, middle) if spent(middle) <= budget else (middle, high)
    return Noise(deviation=high * sums.clip, shares=shares)
