"""The Brier score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.metrics._labelled import labelled
from comity.metrics._ratio import mean_defined, ratio
from comity.values.contribution import Contribution
from comity.values.metric import Goal, Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class Brier(Metric):
    """The mean squared distance of probabilities from what happened (Brier 1950).

    Exact. Two classes: (p - y)², from 0 to 1. More: summed over the classes, from 0 to 2. With several
    tasks, the mean of their scores. Empty: NaN.
    """

    goal: ClassVar[Goal] = "min"

    @property
    def name(self) -> str:
        return "brier"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        given = labelled(predictions, rows)
        classes = given.probability.shape[2]
        happened = given.label[:, :, None] == np.arange(classes)  # (n, t, k)
        distance = ((given.probability - happened) ** 2).sum(2) / (2 if classes == 2 else 1)
        return Contribution(
            {"distance": (distance * given.measured).sum(0), "measured": given.measured.sum(0)}, len(rows)
        )

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        return mean_defined(ratio(sums["distance"], sums["measured"]))
