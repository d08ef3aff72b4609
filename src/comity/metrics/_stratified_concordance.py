"""Concordance within sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.metrics._pairs import outcomes, pairs
from comity.values.contribution import Contribution
from comity.values.metric import Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class StratifiedConcordance(Metric):
    """The share of comparable pairs *within a site* in which the earlier death had the higher predicted risk.

    Exact, and two numbers are all that leaves a site; pairs across sites are not compared, so over
    several sites it is not the concordance of their pooled rows. No comparable pair: NaN.
    """

    @property
    def name(self) -> str:
        return "stratified_concordance"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        time, event, risk = outcomes(predictions, rows)
        return Contribution({"pairs": pairs(time, event, risk, np.ones(len(time)))}, len(rows))

    def finish(self, total: Contribution) -> float:
        won, comparable = flatten(total.total)["pairs"]
        return float(won / comparable) if comparable else float("nan")
