"""Targets as classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.tree import Array

MOST = 20
"""More different labels than these are not shown one by one."""


def classes(y: Array) -> tuple[list[str], Array]:
    """(the classes in order, the class of each row (n,)) of labels y (n,) or (n, 1).

    Raises InvalidInput unless y are labels: booleans, integers, texts, or floats that are whole numbers.
    """
    labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if labels.ndim != 1:
        raise InvalidInput(f"targets must be class labels of shape (n,), but they have shape {y.shape}")
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels) & (labels == np.rint(labels))).all():
            raise InvalidInput("targets must be class labels, but some are not whole numbers; bin them first")
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuU":
        raise InvalidInput(f"targets must be class labels, but their dtype is {labels.dtype}")
    known, codes = np.unique(labels, return_inverse=True)
    return [str(label) for label in known], codes


def strata(parts: Sequence[Array]) -> tuple[list[str], list[Array]] | None:
    """(names, a code for each row of each part) by class, or by event for survival; None for other targets."""
    y = np.concatenate(list(parts))
    if y.ndim == 2 and y.shape[1] == 2 and np.isin(y[:, 1], (0, 1)).all() and not np.isin(y[:, 0], (0, 1)).all():
        known, codes = ["censored", "event"], y[:, 1].astype(np.int64)
    else:
        try:
            known, codes = classes(y)
        except InvalidInput:
            return None
        if len(known) > MOST:
            return None
    return known, np.split(codes, np.cumsum([len(part) for part in parts])[:-1])
