"""Breast Cancer Wisconsin (Diagnostic): measures of cell nuclei in needle biopsies, small enough to train at once.

Street, Wolberg and Mangasarian, "Nuclear feature extraction for breast tumor diagnosis", IS&T/SPIE 1993.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from comity.data.stored import read_csv
from comity.values.errors import unknown
from comity.values.rows import Rows

MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave_points",
    "symmetry",
    "fractal_dimension",
)

COLUMNS = tuple(f"{measure}_{kind}" for kind in ("mean", "error", "worst") for measure in MEASURES)

Standardize: TypeAlias = Literal["train", "none"]


def breast_cancer(standardize: Standardize = "train") -> tuple[Rows, Rows]:
    """(380 training biopsies, 189 test biopsies).

    x (n, 30) float64; y (n,) float64: 1 = malignant (143 and 69). Every third biopsy is a test row. Features are
    standardized by the mean and standard deviation (n - 1) of the training rows ("train"), or not at all ("none").
    """
    if standardize not in get_args(Standardize):
        raise unknown("standardization", standardize, get_args(Standardize))
    _, lines = read_csv("breast_cancer/breast_cancer.csv")
    numbers = np.array(lines, dtype=float)  # (569, 31)
    rows = Rows(numbers[:, :-1], (numbers[:, -1] == 0).astype(float), COLUMNS)
    test = np.arange(len(rows)) % 3 == 2
    train, held = rows.take(~test), rows.take(test)
    if standardize == "none":
        return train, held
    mean, std = train.x.mean(axis=0), train.x.std(axis=0, ddof=1)
    return replace(train, x=(train.x - mean) / std), replace(held, x=(held.x - mean) / std)
