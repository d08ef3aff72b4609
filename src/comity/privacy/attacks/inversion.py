"""Training rows from the gradient of a fully connected layer with a bias, exactly and without any search.

One row's gradient by a unit's weights is the row times its gradient by the unit's bias, so their quotient is the row
(Phong, Aono, Hayashi, Wang and Moriai, "Privacy-Preserving Deep Learning via Additively Homomorphic Encryption", 2017,
section 3; Geiping, Bauermeister, Dröge and Moeller, "Inverting Gradients", NeurIPS 2020, proposition 3.1). Of a batch
that holds for units that one row alone activates. Whoever writes the parameters can see to it that nearly every row has
one to itself: all units measure the same, and differ in their thresholds, so that two neighbours differ by the rows
between them (Fowl, Geiping, Czaja, Goldblum and Goldstein, "Robbing the Fed", ICLR 2022).
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.tree import Array

NOTHING = 1e-5
"""A bias's gradient below this part of the largest is that of no row: what the rounding of float32 leaves."""


def rows_of(weight: Array, bias: Array) -> Array:
    """The row that each unit's gradient shows (k, d), where one row alone activated it; else a mean of several.

    weight: gradients, or any multiple of them such as an update, by the weights of k units (units, d); bias: by their
    biases (units,). Units that no row activated are left out.

    >>> rows_of(np.array([[3.0, 6.0], [0.0, 0.0]]), np.array([3.0, 0.0]))
    array([[1., 2.]])
    """
    shown = active(weight, bias)
    return weight[shown] / bias[shown, np.newaxis]


def active(weight: Array, bias: Array) -> Array:
    """Which units (units,) any row activated; raises InvalidInput for shapes of no such layer."""
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise InvalidInput(f"a layer's gradients have shapes (units, d) and (units,), not {weight.shape}, {bias.shape}")
    size = np.abs(bias)
    return size > NOTHING * size.max(initial=0.0)


def imprint(features: int, thresholds: Array) -> tuple[Array, Array]:
    """(weight (units, features), bias (units,)) of units that fire for rows whose mean is above their thresholds."""
    return np.full((len(thresholds), features), 1 / features), -np.asarray(thresholds)


def single_bins(weight: Array, bias: Array, signs: Array) -> tuple[Array, Array]:
    """The gradients that the rows between two neighbouring thresholds made, of units whose thresholds rise.

    signs: the gradient of what follows by each unit's output, up to one factor for all (units,).
    """
    alike, errors = weight / signs[:, np.newaxis], bias / signs
    beyond: Any = np.zeros_like
    return (
        alike - np.concatenate([alike[1:], beyond(alike[:1])]),
        errors - np.concatenate([errors[1:], beyond(errors[:1])]),
    )


def with_prior(rows: Array, errors: Array, *, noise: float, most: float = inf, mean: Array, deviation: float) -> Array:
    """The likeliest rows behind noised ones: drawn towards what such rows look like, as far as noise hides them.

    rows: what `rows_of` gave (k, d); errors: the biases' gradients that they were divided by (k,); noise: standard
    deviation of what was added to each number of the gradients, infinite for masked ones; most: the largest that one
    row's gradient by a bias can be, where it was clipped; mean (d,) and deviation: of such rows, from public ones.
    Linear least squares for a normal prior; without noise the rows are as they were.
    """
    if not noise:
        return rows
    known = np.clip(errors, -most, most)
    gain = known * deviation**2 / ((known * deviation) ** 2 + noise**2)  # (k,)
    return mean + gain[:, np.newaxis] * (errors[:, np.newaxis] * rows - known[:, np.newaxis] * mean)
