"""A metric is a pair: sums taken at each site, and the number that follows from their total.

Because the sums are added before they are finished, a metric over all sites equals the metric over
their pooled rows, and no site shows its own value unless its policy allows it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from comity.values.contribution import Contribution
from comity.values.rows import Rows
from comity.values.tree import Array

Goal = Literal["max", "min"]


class Metric(ABC):
    """A final frozen dataclass whose fields are its settings."""

    goal: ClassVar[Goal] = "max"
    """Whether more is better."""
    pools: ClassVar[bool] = True
    """Whether its figure over all sites is that of their rows together; else it is the mean of the sites' figures."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How the metric is called in tables, in the log and in `best=`."""

    @abstractmethod
    def local(self, predictions: Array, rows: Rows) -> Contribution:
        """One site's sums, of predictions (n,) or (n, k) for its test rows."""

    @abstractmethod
    def finish(self, total: Contribution) -> float:
        """The metric of the summed contributions; NaN where it is not defined (e.g. AUC of one class)."""
