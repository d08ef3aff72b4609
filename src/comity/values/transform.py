"""What is done to contributions between a site and their sum: privacy, compression."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from comity.values.metric import Metric
from comity.values.strategy import SeesEach, Strategy


class Transform(ABC):
    """A final frozen dataclass whose fields are its settings."""

    @abstractmethod
    def accepts(self, strategy: Strategy | SeesEach, metrics: Sequence[Metric]) -> None:
        """Raises NotSupported or InvalidInput, in one sentence, for what it does not go with."""
