"""The share of right answers, every class counting the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.metrics._labelled import labelled
from comity.metrics._ratio import mean_defined, ratio
from comity.values.contribution import Contribution
from comity.values.metric import Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class BalancedAccuracy(Metric):
    """The mean over classes of the share of a class's rows that were recognized (Brodersen et al. 2010).

    Exact. Classes without rows are left out. With several tasks, the mean over those that have at least
    two classes; NaN when none has.
    """

    @property
    def name(self) -> str:
        return "balanced_accuracy"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        given = labelled(predictions, rows)
        of_class = given.label[:, :, None] == np.arange(given.probability.shape[2])  # (n, t, k)
        of_class &= given.measured[:, :, None]
        right = of_class & (given.probability.argmax(2) == given.label)[:, :, None]
        return Contribution({"right": right.sum(0), "rows": of_class.sum(0)}, len(rows))

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        right, rows = sums["right"], sums["rows"]  # (t, k)
        tasks = (rows > 0).sum(1) >= 2
        return mean_defined(np.array([mean_defined(task) for task in ratio(right, rows)[tasks]]))
