"""Harrell's concordance index over all sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.metrics._pairs import outcomes, pairs
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.metric import Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten

OCTAVES = (-10, 14)
"""Times are told apart from 0.001 (2^-10) to 16,384 (2^14) of their unit: a minute to 45 years when in days."""
RISKS = (0.04, 100.0)
"""Risk bins are of even width near 0 and a constant fraction wide beyond 0.04; the outermost begin at ±100."""


@final
@dataclass(frozen=True)
class Concordance(Metric):
    """The share of comparable pairs in which the earlier death had the higher predicted risk (Harrell et al. 1982).

    Predictions are log-risks (n,), targets time and event (n, 2). Pairs within a site are exact, so one
    site's figure is Harrell's. Pairs across sites are compared by a joint histogram of event, time and
    risk (2 MiB; bins 3 % wide), where what shares a bin is a tie: in 360 simulations of 250 rows over six
    sites, risks spread by 0.1 to 5, the error was 0.0008 at the median and 0.0026 at most. Risks that
    differ by less than 3 % are ties. In a small cohort a cell often holds one row: use
    `StratifiedConcordance` where that is more than may be shown. No comparable pair: NaN.
    """

    time_bins: int = 512
    risk_bins: int = 512

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("time_bins", self.time_bins, least=2)
        bounds.count("risk_bins", self.risk_bins, least=2)

    @property
    def name(self) -> str:
        return "concordance"

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        time, event, risk = outcomes(predictions, rows)
        cells = self._cells(time, event, risk)
        # what the cells get wrong about this site's own pairs
        rest = pairs(time, event, risk, np.ones(len(time))) - _cell_pairs(cells)
        return Contribution({"cells": cells, "rest": rest}, len(rows))

    def finish(self, total: Contribution) -> float:
        sums = flatten(total.total)
        won, comparable = _cell_pairs(sums["cells"]) + sums["rest"]
        return float(won / comparable) if comparable > 0 else float("nan")

    def _cells(self, time: Array, event: Array, risk: Array) -> Array:
        if (time > 2 ** OCTAVES[1]).any():
            raise InvalidInput(f"a survival time is above {2 ** OCTAVES[1]}; give times in a larger unit")
        moments = np.exp2(np.linspace(*OCTAVES, self.time_bins)[1:])
        narrow, widest = RISKS
        far = np.arcsinh(widest / narrow)
        levels = narrow * np.sinh(np.linspace(-far, far, self.risk_bins + 1)[1:-1])
        shape = (2, self.time_bins, self.risk_bins)
        index = (event.astype(np.intp), moments.searchsorted(time), levels.searchsorted(risk))
        cell = np.ravel_multi_index(index, shape)
        return np.bincount(cell, minlength=np.prod(shape)).astype(np.int32).reshape(shape)


def _cell_pairs(cells: Array) -> Array:
    filled = np.flatnonzero(cells)
    event, time, risk = np.unravel_index(filled, cells.shape)
    return pairs(time, event == 1, risk, cells.ravel()[filled].astype(np.float64))
