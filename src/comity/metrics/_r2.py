"""The coefficient of determination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.metrics._numeric import numeric
from comity.metrics._ratio import mean_defined, ratio
from comity.values.contribution import Contribution
from comity.values.metric import Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class R2(Metric):
    """1 - Σ (y - prediction)² / Σ (y - mean)², the mean being that of all sites' rows.

    From sums of y and y², so it loses about (mean / standard deviation)² · 1e-16. With several tasks,
    the mean of theirs. Targets that do not vary beyond rounding: NaN.
    """

    @property
    def name(self) -> str:
        return "r2"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        y, error, measured = numeric(predictions, rows)
        sums = {"y": y.sum(0), "y2": (y**2).sum(0), "error2": (error**2).sum(0), "measured": measured.sum(0)}
        return Contribution(sums, len(rows))

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        y, y2, error2 = (sums[each] for each in ("y", "y2", "error2"))
        spread = y2 - y**2 / np.maximum(sums["measured"], 1)
        return mean_defined(1 - ratio(error2, np.where(spread > 1e-12 * y2, spread, 0)))
