"""Probabilities and labels in one shape, whatever the kind of classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.tree import Array


@final
@dataclass(frozen=True, slots=True)
class Labelled:
    """n rows of t tasks with k classes each. Binary: t = 1, k = 2. Classes: t = 1. Multi-task: k = 2."""

    probability: Array  # (n, t, k)
    label: Array  # (n, t), 0 where not measured
    measured: Array  # (n, t)

    def questions(self) -> tuple[Array, Array, Array]:
        """(score, positive, measured), each (n, q): is it class 1? With more than two classes, one against the rest."""
        classes = self.probability.shape[2]
        if classes == 2:
            return self.probability[:, :, 1], self.label == 1, self.measured
        positive = self.label == np.arange(classes)  # (n, k)
        return self.probability[:, 0], positive, np.broadcast_to(self.measured, positive.shape)


def labelled(predictions: Array, rows: Rows) -> Labelled:
    """Predictions (n,), (n, 1) or (n, k) beside the rows' targets: labels (n,), or tasks (n, k) with NaN for missing.

    Raises InvalidInput when shapes do not fit, when a prediction is no probability, when the probabilities
    of classes do not add up to 1, or when a label is not one of 0 … k-1.
    """
    probability, y = np.asarray(predictions), np.asarray(rows.targets)
    partial = y.ndim == 2
    probability, y = (a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for a in (probability, y))
    if probability.dtype.kind not in "biuf" or not ((probability >= 0) & (probability <= 1)).all():
        raise InvalidInput(
            "this metric needs probabilities from 0 to 1, and got others; apply a sigmoid or a softmax first"
        )
    probability = probability.astype(np.float64)
    if probability.ndim == 2 and y.shape == probability.shape[:1]:
        if (np.abs(probability.sum(1) - 1) > 1e-2).any():
            raise InvalidInput("the probabilities of the classes must add up to 1 in every row; apply a softmax")
        probability = probability[:, None, :]  # (n, 1, k)
    elif probability.ndim in (1, 2) and y.shape == probability.shape:
        column = probability[:, None] if probability.ndim == 1 else probability
        probability = np.stack([1 - column, column], -1)  # (n, t, 2)
    else:
        raise InvalidInput(f"predictions of shape {probability.shape} do not fit targets of shape {y.shape}")
    return Labelled(probability, *_labels(y, probability.shape, partial=partial))


def _labels(y: Array, shape: tuple[int, ...], *, partial: bool) -> tuple[Array, Array]:
    if y.dtype.kind not in "biuf":
        raise InvalidInput(f"labels have dtype {y.dtype}; number the classes from 0")
    y = y.reshape(shape[:2])
    measured = ~np.isnan(y) if partial else np.ones(y.shape, dtype=bool)
    y = np.where(measured, y, 0)
    wrong = y[~np.isin(y, np.arange(shape[2]))]
    if len(wrong):
        raise InvalidInput(f"labels must be whole numbers from 0 to {shape[2] - 1}, and one is {wrong[0]}")
    return y.astype(np.int64), measured
