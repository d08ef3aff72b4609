"""Gradients that tell little of any row: a random sample's, each row's clipped, and noise on their sum.

Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar and Zhang, "Deep Learning with Differential Privacy", CCS 2016,
algorithm 1. A step's sample is a Poisson sample, drawn anew, as the accounting supposes; it may be empty, and the noise
is released all the same. The sum is divided by the size that a sample has on average, whatever it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np

from comity.values import tree
from comity.values.noise import Random, noised, uniform
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DPSGD:
    """How the gradients of one training are sampled, clipped and noised."""

    clip: float
    """The largest Euclidean norm of a row's gradient, over all parameters together; larger ones are scaled down."""
    noise_multiplier: float
    """Standard deviation of the noise on a sum, in units of clip."""
    sampling_rate: float
    """The probability with which a row is in a step's sample."""
    random: Random = field(repr=False)

    def sample(self, rows: int) -> Array:
        """The positions (k,) of a step's sample of so many rows; k varies, and may be 0."""
        if self.sampling_rate == 1:
            return np.arange(rows)
        return np.flatnonzero(uniform(self.random, rows) < self.sampling_rate)

    def factors(self, norms: Array) -> Array:
        """What each row's gradient, of this norm, is scaled by; 0 where it is not finite, so that it counts as none."""
        finite = np.isfinite(norms)
        return np.where(finite, np.minimum(1.0, self.clip / np.maximum(np.where(finite, norms, 1.0), 1e-300)), 0.0)

    def mean(self, total: Tree, rows: int) -> Tree:
        """The gradient to step along: the noised sum of a sample's scaled gradients, over its expected size."""
        deviation, expected = self.noise_multiplier * self.clip, self.sampling_rate * rows
        return tree.map(lambda leaf: noised(leaf, deviation, self.random) / expected, total)
