"""How well an attack does: how like a picture is, and how well members are told from others."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, log10
from typing import Any, final

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.tree import Array

EXACT = 40.0
"""dB from which on nobody sees a difference between two pictures."""


def psnr(truth: Array, found: Array) -> float:
    """Peak signal-to-noise ratio in dB of a picture in [0, 1]; infinite for the picture itself.

    >>> round(psnr(np.zeros(4), np.full(4, 0.1)), 6)
    20.0
    """
    error = float(np.mean(np.square(np.asarray(truth, np.float64) - found)))
    return -10 * log10(error) if error else inf


def best_psnr(truth: Array, found: Array) -> tuple[Array, Array]:
    """For each of n pictures (n, d) the PSNR (n,) of the one of k (k, d) that is most like it, and which (n,) that is.

    This flatters an attacker, who does not know which is the best.
    """
    if not len(found):
        raise InvalidInput("nothing was found to compare with; an attack gives at least one picture")
    truth, found = np.asarray(truth, np.float64), np.asarray(found, np.float64)
    squares = np.square(truth).sum(axis=1)[:, np.newaxis] + np.square(found).sum(axis=1) - 2 * truth @ found.T
    best = squares.argmin(axis=1)
    return np.array([psnr(row, found[at]) for row, at in zip(truth, best, strict=True)]), best


@final
@dataclass(frozen=True, kw_only=True)
class Separation:
    """How well scores tell members from others."""

    auc: float
    """The probability that a member scores higher than another row; one half for guessing."""
    caught: float
    """The share of members above the score that few others reach."""
    caught_most: float
    """Upper end of the 95 % interval of `caught`, which takes every decision as one by itself."""
    false_alarms: float
    """The share of others that may be above it."""
    members: int
    others: int
    curve: tuple[Array, Array] = field(repr=False)
    """Shares of others and of members above each score, rising."""


def separation(members: Array, others: Array, *, false_alarms: float = 0.01) -> Separation:
    """How well the scores of members (m,) and of others (k,) differ.

    >>> made = separation(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    >>> made.auc, made.caught
    (1.0, 1.0)
    """
    if not len(members) or not len(others):
        raise InvalidInput(f"{len(members)} members and {len(others)} others cannot be told apart; give some of both")
    if np.isnan(members).any() or np.isnan(others).any():
        raise InvalidInput("scores hold NaN, which is neither above nor below another; leave these rows out")
    from scipy.stats import rankdata

    ranks: Any = rankdata(np.concatenate([members, others]))
    above = float(ranks[: len(members)].sum()) - len(members) * (len(members) + 1) / 2
    highest = np.sort(others)[::-1]
    threshold = highest[int(false_alarms * len(others))]  # so many others are above it, at most
    caught = int((members > threshold).sum())
    scores = np.unique(np.concatenate([members, others]))[::-1]
    return Separation(
        auc=above / (len(members) * len(others)),
        caught=caught / len(members),
        caught_most=clopper_pearson(caught, len(members))[1],
        false_alarms=false_alarms,
        members=len(members),
        others=len(others),
        curve=(_above(others, scores), _above(members, scores)),
    )


def clopper_pearson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a proportion (Clopper and Pearson 1934): exact, and never too short.

    >>> [round(end, 4) for end in clopper_pearson(0, 10)]
    [0.0, 0.3085]
    """
    if not 0 <= successes <= trials or not trials:
        raise InvalidInput(f"{successes} of {trials} is no proportion; give 0 to {trials} successes of at least one")
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def _above(values: Array, scores: Array) -> Array:
    """The share of values that are at least each of these falling scores."""
    return 1 - np.searchsorted(np.sort(values), scores, side="left") / len(values)
