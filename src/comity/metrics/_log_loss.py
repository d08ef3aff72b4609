"""Cross-entropy."""

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
class LogLoss(Metric):
    """The mean of -log(probability given to the true class), in nats.

    Exact. Probabilities are kept from 0 by the machine epsilon of the predictions' dtype, as scikit-learn
    does. With several tasks, the mean of their losses. Empty: NaN.
    """

    goal: ClassVar[Goal] = "min"

    @property
    def name(self) -> str:
        return "log_loss"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        given = labelled(predictions, rows)
        likelihood = np.take_along_axis(given.probability, given.label[:, :, None], 2)[:, :, 0]  # (n, t)
        least = np.finfo(np.result_type(predictions, np.float16)).eps
        loss = np.where(given.measured, -np.log(np.maximum(likelihood, least)), 0)
        return Contribution({"loss": loss.sum(0), "measured": given.measured.sum(0)}, len(rows))

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        return mean_defined(ratio(sums["loss"], sums["measured"]))
