"""UCI Heart Disease in four hospitals, by FLamby's recipe.

Ogier du Terrail et al., "FLamby: Datasets and Benchmarks for Cross-Silo Federated Learning in Realistic
Healthcare Settings", NeurIPS 2022 (Fed-Heart-Disease): slope, ca and thal are dropped, then incomplete
rows; cp and restecg become dummies without their first level; the split is 66 : 34 within a hospital.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from comity.data.stored import read, read_csv
from comity.values.errors import unknown
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.tree import Array

HOSPITALS = {"Cleveland": "cleveland", "Hungary": "hungarian", "Switzerland": "switzerland", "VA": "va"}

NUMERIC = {"age": 0, "sex": 1, "trestbps": 3, "chol": 4, "fbs": 5, "thalach": 7, "exang": 8, "oldpeak": 9}
"""Columns that are kept as they are, and where they stand in the files."""

DUMMIES = {"cp_2": (2, 2), "cp_3": (2, 3), "cp_4": (2, 4), "restecg_1": (6, 1), "restecg_2": (6, 2)}
"""(where it stands, the value that gives 1)."""

Standardize: TypeAlias = Literal["site", "pooled", "none"]


def heart(standardize: Standardize = "site") -> list[Site]:
    """Four hospitals of 199, 172, 30 and 85 training and 104, 89, 16 and 45 test patients.

    x (n, 13) float64, y (n,) float64: 1 = disease. Features are standardized by the mean and standard
    deviation (n - 1) of each hospital's own training rows ("site", FLamby's way for federated training),
    of all training rows together ("pooled"), or not at all ("none"). A column that is constant in the
    training rows (cholesterol in Switzerland) becomes 0.
    """
    if standardize not in get_args(Standardize):
        raise unknown("standardization", standardize, get_args(Standardize))
    _, lines = read_csv("heart_disease/split.csv")
    train = {(hospital, int(row)) for hospital, row, fold in lines if fold == "train"}
    sites = [_hospital(name, train) for name in HOSPITALS]
    if standardize == "none":
        return sites
    everybody = np.concatenate([site.train.x for site in sites])
    return [_standardized(site, everybody if standardize == "pooled" else site.train.x) for site in sites]


def _hospital(name: str, train: set[tuple[str, int]]) -> Site:
    file = HOSPITALS[name]
    lines = [line.split(",") for line in read(f"heart_disease/processed.{file}.data").decode().split()]
    kept = [line[:10] + line[13:] for line in lines]
    raw = np.array([line for line in kept if "?" not in line], dtype=float)  # (n, 11)
    numeric = raw[:, list(NUMERIC.values())]  # (n, 8)
    dummies = np.stack([raw[:, at] == value for at, value in DUMMIES.values()], axis=1)  # (n, 5)
    rows = Rows(np.hstack([numeric, dummies]), (raw[:, -1] > 0).astype(float), (*NUMERIC, *DUMMIES))
    trains = np.array([(file, row) in train for row in range(len(rows))])
    return Site(name, rows.take(trains), rows.take(~trains))


def _standardized(site: Site, reference: Array) -> Site:
    mean, std = reference.mean(axis=0), reference.std(axis=0, ddof=1)
    std = np.where(std > 0, std, 1.0)
    train, test = (replace(rows, x=(rows.x - mean) / std) for rows in (site.train, site.test) if rows is not None)
    return Site(site.name, train, test)
