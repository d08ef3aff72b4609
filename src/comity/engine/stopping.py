"""When a run ends before its last round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.metric import Goal


@final
@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stop once a metric over all sites' test rows has not improved for some evaluations.

    Rows that decide when to stop are no longer unseen: what is measured on them afterwards flatters the model.
    """

    metric: str
    """Its name."""
    patience: int = 5
    """How many evaluations in a row may bring no improvement."""
    min_delta: float = 0.0
    """What counts as an improvement: more than this."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        if not isinstance(self.metric, str):
            raise InvalidInput(f"early stopping watches a metric by its name, not {self.metric!r}")
        if self.patience < 1 or not self.min_delta >= 0:
            raise InvalidInput(f"patience must be at least 1 and min_delta not negative, got {self}")

    def stops(self, values: Sequence[float], goal: Goal) -> bool:
        """Whether to stop after these evaluations, in order.

        >>> EarlyStopping("auc", patience=2).stops([0.7, 0.8, 0.8, 0.79], "max")
        True
        """
        best, since = -math.inf, 0
        for value in values:
            score = value if goal == "max" else -value
            if score > best + self.min_delta:
                best, since = score, 0
            else:
                since += 1
        return since >= self.patience


def best_index(values: Sequence[float], goal: Goal) -> int | None:
    """Position of the best value, the first of equals; None when none is a number.

    >>> best_index([0.7, 0.9, 0.9], "max")
    1
    """
    scored = [(v if goal == "max" else -v, -i) for i, v in enumerate(values) if not math.isnan(v)]
    return -max(scored)[1] if scored else None
