"""A plain function as a metric: the mean of its values at the sites."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.metric import Goal, Metric
from comity.values.rows import Rows
from comity.values.tree import Array, flatten


@final
@dataclass(frozen=True)
class Mean(Metric):
    """The mean over sites of `function(y, predictions)`, each site counting the same; called as the function is.

    It is not the function of the pooled rows. A site where the function gives NaN (not defined there) is
    left out; what the function raises is not caught.

    >>> def largest_error(y, predictions):
    ...     return float(np.max(np.abs(y - predictions)))
    >>> Mean(largest_error, goal="min").name
    'largest_error'
    """

    function: Callable[[Any, Any], float]
    """Of the site's targets and predictions, as they are."""
    pools: ClassVar[bool] = False
    goal: Goal = "max"  # pyright: ignore[reportIncompatibleVariableOverride] here it is a setting

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidInput(f"function must be a function f(y, predictions), not {self.function!r}")
        if self.goal not in ("max", "min"):
            raise InvalidInput(f"goal must be 'max' or 'min', not {self.goal!r}")

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def local(self, predictions: Array, rows: Rows) -> Contribution:
        value = np.asarray(self.function(rows.targets, predictions))
        if value.shape != () or value.dtype.kind not in "biuf" or np.isinf(value):
            raise InvalidInput(f"the function {self.name} must give one finite number or NaN, not {value}")
        defined = not math.isnan(value)
        return Contribution({"value": np.array(float(value) if defined else 0.0)}, float(defined))

    def finish(self, total: Contribution) -> float:
        return float(flatten(total.total)["value"]) / total.weight if total.weight else math.nan
