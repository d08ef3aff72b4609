"""Area under the receiver operating characteristic."""

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
class Auc(Metric):
    """The chance that a positive scores above a negative, from the sites' score histograms.

    Exact for scores rounded to their bins: a pair within one bin counts half, so the error is at most half
    the share of such pairs, ½ · Σ_bins (positives in it / positives) · (negatives in it / negatives).
    More than two classes: the mean over classes, each against the rest. Several tasks: the mean over
    those that have both classes; NaN when none has.
    """

    bins: int = 4096

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("bins", self.bins, least=2)

    @property
    def name(self) -> str:
        return "auc"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        return score_histogram(predictions, rows, self.bins)

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        positives, negatives = sums["positives"], sums["negatives"]  # (q, bins)
        below = np.cumsum(negatives, 1) - negatives / 2
        won = (positives * below).sum(1)
        return mean_defined(ratio(won, positives.sum(1) * negatives.sum(1)))
