"""Was a row among those that a model was trained on? The likelihood ratio attack, online.

Carlini, Chien, Nasr, Song, Terzis and Tramèr, "Membership Inference Attacks From First Principles", S&P 2022,
algorithm 1. Shadow models are trained as the target was, on rows of which each is in about half of them. How sure a
model is of a row's label is about normal on a logit scale: one mean for models that saw the row, one for those that did
not. The ratio of both densities at the target's own value is the score.
"""

from __future__ import annotations

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.tree import Array

FEW = 64
"""With fewer shadow models on either side, one variance for all rows is the better estimate, as there."""

LEAST = 2
"""Shadow models that a row must be in, and out of."""


def logits(probabilities: Array, labels: Array) -> Array:
    """How sure a model is of each row's label: log p ÷ (1 - p), p the probability (n,) it gives to a label of 0 or 1.

    >>> logits(np.array([0.5, 0.9, 0.9]), np.array([1, 1, 0])).round(3)
    array([ 0.   ,  2.197, -2.197])
    """
    bounded = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1 - 1e-12)
    return np.where(np.asarray(labels) == 1, 1.0, -1.0) * np.log(bounded / (1 - bounded))


def memberships(targets: Array, shadows: Array, inside: Array, outside: Array) -> Array:
    """The log likelihood ratio (t, n) that each row is among those of each target: the higher, the likelier.

    targets: `logits` of n rows by t models under attack (t, n). shadows: those by s models of the attacker's own
    (s, n). inside, outside: whether a shadow model saw the row, or did not (s, n); where neither holds it is left out.
    Raises InvalidInput when a row has too few shadow models of either kind, or shapes do not fit.
    """
    for name, given in (("inside", inside), ("outside", outside), ("targets", targets)):
        if given.shape[1:] != shadows.shape[1:] or (name != "targets" and len(given) != len(shadows)):
            raise InvalidInput(f"{name} has shape {given.shape}, which does not fit shadows of shape {shadows.shape}")
    (mean_in, variance_in), (mean_out, variance_out) = (_normal(shadows, which) for which in (inside, outside))
    return _density(targets, mean_in, variance_in) - _density(targets, mean_out, variance_out)


def _normal(values: Array, which: Array) -> tuple[Array, Array]:
    """Mean and variance by row of the values that count."""
    number = which.sum(axis=0)  # (n,)
    if (fewest := int(number.min())) < LEAST:
        raise InvalidInput(
            f"a row is in, or out of, {fewest} shadow models, and at least {LEAST} are needed; train more of them"
        )
    mean = np.where(which, values, 0.0).sum(axis=0) / number
    squares = np.where(which, np.square(values - mean), 0.0).sum(axis=0)
    variance = squares / (number - 1) if fewest >= FEW else np.full(len(mean), squares.sum() / (number - 1).sum())
    return mean, np.maximum(variance, 1e-30)


def _density(values: Array, mean: Array, variance: Array) -> Array:
    """Log of the normal density, but for a constant."""
    return -np.square(values - mean) / (2 * variance) - np.log(variance) / 2
