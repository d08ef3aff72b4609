"""What can be set in the playground: one frozen value, held to ranges, that decides a run's result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from comity.data.partition import Hospital
from comity.faces.playground.bounded import Range
from comity.faces.playground.data_sets import DATA_SETS, MOST, DataSet
from comity.faces.playground.offered import Offered, offered
from comity.values.errors import InvalidInput, NotSupported, unknown

HOSPITALS = Range("the number of hospitals", 2, MOST)
ROUNDS = Range("the number of rounds", 1, 50)
SEED = Range("the seed", 0, 9999)
ROWS = Range("a hospital's size", 10, 240, 10)
POSITIVE = Range("a hospital's share of positive rows", 0, 1, 0.05)
NOISE = Range("a hospital's noise", 0, 2, 0.1)
SHIFT = Range("a hospital's shift", 0, 2, 0.1)

SEEDS = 3
"""Every method is run so many times, with patients dealt and models begun anew; figures have bands over these."""

NO_EPSILON = "Differential privacy is not part of comity yet. It will bound what a model tells of any one patient."


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One experiment of the playground. Raises InvalidInput or NotSupported, in a sentence, for what cannot be.

    >>> Settings().strategy
    'FedAvg'
    """

    data: str = "breastmnist"
    hospitals: tuple[Hospital, ...] = field(default_factory=lambda: DATA_SETS["breastmnist"].hospitals[:2])
    strategy: str = "FedAvg"
    rounds: int = 20
    secure_sum: bool = False
    epsilon: float | None = None
    """Of differential privacy at every hospital; None for none."""
    seed: int = 0
    """The first of three that follow each other."""

    def __post_init__(self) -> None:
        if self.data not in DATA_SETS:
            raise unknown("data set", self.data, DATA_SETS)
        if self.strategy not in offered(self.data_set):
            raise unknown("strategy", self.strategy, offered(self.data_set))
        for range_, value in ((HOSPITALS, len(self.hospitals)), (ROUNDS, self.rounds), (SEED, self.seed)):
            range_.check(value)
        for each in self.hospitals:
            for range_, value in ((ROWS, each.rows), (POSITIVE, each.positive), (NOISE, each.noise)):
                range_.check(value)
            SHIFT.check(each.shift)
        if shortage := self.shortage:
            raise InvalidInput(shortage)
        if self.secure_sum and (reason := self.reasons["secure_sum"]):
            raise NotSupported(reason)
        if self.epsilon is not None and (reason := self.reasons["epsilon"]):
            raise NotSupported(reason)

    @property
    def data_set(self) -> DataSet:
        """The data set."""
        return DATA_SETS[self.data]

    @property
    def offered(self) -> Offered:
        """The strategy."""
        return offered(self.data_set)[self.strategy]

    @property
    def seeds(self) -> range:
        """All seeds of the run."""
        return range(self.seed, self.seed + SEEDS)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the hospitals."""
        return tuple(f"Hospital {letter}" for letter in "ABCDEF"[: len(self.hospitals)])

    @property
    def dealt(self) -> tuple[tuple[int, int], ...]:
        """(negative, positive) rows of each hospital."""
        positives = [round(each.positive * each.rows) for each in self.hospitals]
        return tuple((each.rows - positive, positive) for each, positive in zip(self.hospitals, positives, strict=True))

    @property
    def shortage(self) -> str:
        """Why there are not rows enough for these hospitals; empty when there are."""
        for of, available in enumerate(self.data_set.available):
            wanted = sum(each[of] for each in self.dealt)
            if wanted > available:
                name, rows = self.data_set.classes[of], self.data_set.rows[1]
                return (
                    f"These hospitals need {wanted} {rows} that are {name}, but there are {available}. Make a hospital "
                    f"smaller, or {'lower' if of else 'raise'} its share that is {self.data_set.classes[1]}."
                )
        return ""

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a control does not apply, by its name; empty when it does."""
        return {"secure_sum": self._no_secure_sum(), "epsilon": NO_EPSILON}

    def _no_secure_sum(self) -> str:
        if len(self.hospitals) < 3:
            return "With two hospitals each could subtract its own update from the sum: it takes at least three."
        if self.offered.sees_each:
            return (
                f"{self.strategy} must see every hospital's update by itself, and a secure sum shows nothing but sums."
            )
        return ""
