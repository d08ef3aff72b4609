"""Average precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.metrics._ratio import mean_defined, ratio
from comity.metrics._score_histogram import score_histogram
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.metric import Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class AveragePrecision(Metric):
    """The precision at each positive, averaged: Σ (recall gained) · precision, from the highest score down.

    Computed from the sites' score histograms and exact for scores rounded to their bins, where equal scores
    are reached together. With P positives and N negatives in a bin and p, n of them above it, a positive's
    precision is taken as (p+P)/(p+P+n+N) and truly lies between (p+1)/(p+1+n+N) and (p+P)/(p+P+n).
    Classes and tasks as for `Auc`.
    """

    bins: int = 4096

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("bins", self.bins, least=2)

    @property
    def name(self) -> str:
        return "average_precision"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        return score_histogram(predictions, rows, self.bins)

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        positives, negatives = (sums[kind][:, ::-1] for kind in ("positives", "negatives"))  # (q, bins)
        reached = np.cumsum(positives, 1)
        precision = reached / np.maximum(reached + np.cumsum(negatives, 1), 1)
        average = ratio((positives * precision).sum(1), positives.sum(1))
        return mean_defined(average[negatives.any(1)])
