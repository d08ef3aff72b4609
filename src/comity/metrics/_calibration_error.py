"""Expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.metrics._labelled import labelled
from comity.metrics._ratio import mean_defined, ratio
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.metric import Goal, Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class CalibrationError(Metric):
    """How far probabilities are from frequencies: Σ_bins |rows that happened - probabilities| / rows.

    The expected calibration error over bins of equal width (Naeini et al. 2015). Two classes: of the
    probability of class 1. More: of the most probable class (Guo et al. 2017, equation 3). Exact for its
    bins. With several tasks, the mean of their errors. Empty: NaN.
    """

    bins: int = 15

    goal: ClassVar[Goal] = "min"

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("bins", self.bins, least=2)

    @property
    def name(self) -> str:
        return "calibration_error"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        given = labelled(predictions, rows)
        if given.probability.shape[2] == 2:
            said, happened = given.probability[:, :, 1], given.label == 1  # (n, t)
        else:
            said, happened = given.probability.max(2), given.probability.argmax(2) == given.label
        tasks = said.shape[1]
        bin_ = np.minimum((said * self.bins).astype(np.int64), self.bins - 1) + self.bins * np.arange(tasks)
        gap = np.bincount(bin_[given.measured], (happened - said)[given.measured], minlength=tasks * self.bins)
        # bincount forgets that its weights are floats when there are none
        sums = {"gap": gap.astype(np.float64).reshape(tasks, self.bins), "measured": given.measured.sum(0)}
        return Contribution(sums, len(rows))

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        return mean_defined(ratio(np.abs(sums["gap"]).sum(1), sums["measured"]))
