"""The mean absolute error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.metrics._numeric import numeric
from comity.metrics._ratio import mean_defined, ratio
from comity.values.contribution import Contribution
from comity.values.metric import Goal, Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """The mean absolute error of predictions (n,) or (n, t). Exact. Several tasks: their mean. Empty: NaN."""

    goal: ClassVar[Goal] = "min"

    @property
    def name(self) -> str:
        return "mean_absolute_error"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        _, error, measured = numeric(predictions, rows)
        return Contribution({"absolute": (np.abs(error)).sum(0), "measured": measured.sum(0)}, len(rows))

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        return mean_defined(ratio(sums["absolute"], sums["measured"]))
