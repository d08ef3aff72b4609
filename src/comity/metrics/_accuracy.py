"""The share of right answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from comity.metrics._labelled import labelled
from comity.metrics._ratio import mean_defined, ratio
from comity.values.contribution import Contribution
from comity.values.metric import Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class Accuracy(Metric):
    """The share of rows whose most probable class is theirs; a binary answer is 1 above a probability of 0.5.

    Exact. With several tasks, the mean of their accuracies. Empty: NaN.
    """

    @property
    def name(self) -> str:
        return "accuracy"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        given = labelled(predictions, rows)
        right = (given.probability.argmax(2) == given.label) & given.measured  # (n, t)
        return Contribution({"right": right.sum(0), "measured": given.measured.sum(0)}, len(rows))

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        return mean_defined(ratio(sums["right"], sums["measured"]))
