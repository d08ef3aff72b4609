"""TCGA-BRCA: survival with breast cancer in six regions, with FLamby's features and split.

Ogier du Terrail et al., "FLamby: Datasets and Benchmarks for Cross-Silo Federated Learning in Realistic
Healthcare Settings", NeurIPS 2022 (Fed-TCGA-BRCA).
"""

from __future__ import annotations

import numpy as np

from comity.data.stored import read_csv
from comity.values.rows import Rows
from comity.values.site import Site

REGIONS = ("Northeast", "South", "West", "Midwest", "Europe", "Canada")
"""In the order of the numbers in the split file."""


def brca() -> list[Site]:
    """Six regions of 248, 156, 164, 129, 129, 40 training and 63, 40, 42, 33, 33, 11 test patients.

    x (n, 39) float64: age in years and one-hot codes, not standardized. y (n, 2) float64: time in days,
    then 1 for a death and 0 for a censored patient. ids are the patients' public TCGA barcodes. The
    terms of the data (`terms("brca")`) forbid to try to find out who a patient is.
    """
    header, lines = read_csv("tcga_brca/brca.csv")
    numbers = np.array([line[1:] for line in lines], dtype=float)  # (n, 41): features, event, time
    rows = Rows(
        numbers[:, :39],
        numbers[:, [40, 39]],
        columns=tuple(header[1:40]),
        ids=np.array([line[0] for line in lines]),
    )
    _, split = read_csv("tcga_brca/train_test_split.csv")
    fold_of = {patient: fold for patient, _, fold in split}
    folds = np.array([fold_of.get(line[0], "") for line in lines])
    return [
        Site(name, rows.take(folds == f"train_{number}"), rows.take(folds == f"test_{number}"))
        for number, name in enumerate(REGIONS)
    ]
