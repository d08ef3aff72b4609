"""Sites that fall out of a simulated round."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np

from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.seed import derive


@final
@dataclass(frozen=True, slots=True)
class Dropout:
    """Each selected site falls out of a round with a probability, or by a schedule, or both.

    >>> Dropout(schedule={2: ["VA"]}).away("VA", round=2, attempt=1, seed=0)
    True
    """

    probability: float = 0.0
    schedule: Mapping[int, Collection[str]] = field(default_factory=dict[int, Collection[str]])
    """Names of the sites that are away, by round (1 is the first)."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        if not 0 <= self.probability < 1:
            raise InvalidInput(f"probability must be at least 0 and below 1, not {self.probability}")
        for number, names in self.schedule.items():
            if number < 1 or isinstance(names, str):
                raise InvalidInput(f"a schedule maps rounds from 1 on to lists of names, not {number!r} to {names!r}")

    def away(self, site: str, round: int, attempt: int, seed: int) -> bool:
        """Whether the site is away in this attempt of this round."""
        if site in self.schedule.get(round, ()):
            return True
        if not self.probability:
            return False
        draw = np.random.default_rng(derive(seed, "dropout", round, attempt, site)).random()
        return bool(draw < self.probability)
