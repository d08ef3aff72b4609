"""The Gaussian mechanism in closed form, and its noise.

Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy: Analytical Calibration and Optimal
Denoising", ICML 2018, theorem 8. Repeated T times with the same noise it is one Gaussian mechanism of √T times the
sensitivity (Dong, Roth and Su, "Gaussian Differential Privacy", 2022, corollary 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log, sqrt
from typing import Any

LARGEST = 1e5
"""Sensitivity ÷ standard deviation beyond which ε is said to be infinite: it is some 10^10."""


def delta(epsilon: float, mu: float) -> float:
    """The least δ at this ε where sensitivity ÷ standard deviation is mu.

    >>> round(delta(1.0, 1.0), 6)
    0.126937
    """
    from scipy.special import log_ndtr, ndtr  # which takes a quarter of a second

    if mu == 0:
        return 0.0
    second = exp(min(0.0, epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))))  # e^ε by itself would overflow
    return max(0.0, float(ndtr(mu / 2 - epsilon / mu)) - second)


def epsilon(mu: float, at: float) -> float:
    """The least ε at δ = `at` where sensitivity ÷ standard deviation is mu.

    >>> round(epsilon(1.0, 1e-6), 6)
    4.886554
    """
    if delta(0.0, mu) <= at:
        return 0.0
    if mu > LARGEST:
        return inf
    most = mu * mu / 2 + mu * sqrt(2 * log(1 / at))  # by the tail of the privacy loss, N(mu²/2, mu²)
    return _root(lambda guess: delta(guess, mu) - at, 0.0, most)


def deviation(budget: float, at: float) -> float:
    """The least standard deviation, per unit of sensitivity, that is (ε = `budget`, δ = `at`)-private.

    >>> round(deviation(1.0, 1e-5), 6)
    3.730632
    """
    low = high = 1.0
    while delta(budget, 1 / high) > at:
        high *= 2
    while delta(budget, 1 / low) <= at:
        low /= 2
    found = _root(lambda guess: delta(budget, 1 / guess) - at, low, high)
    while delta(budget, 1 / found) > at:  # the root is met from either side
        found *= 1 + 1e-14
    return found


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    found: Any = brentq(function, low, high, xtol=1e-14)
    return float(found)
