"""What a run has come to so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import final

from comity.faces.playground.experiment import METRICS, methods
from comity.faces.playground.settings import SEEDS, Settings
from comity.faces.playground.work import Point


@final
@dataclass(frozen=True, slots=True)
class Band:
    """A figure over some seeds: from the least to the most, and their mean."""

    values: tuple[float, ...]

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)

    @property
    def mean(self) -> float:
        return fmean(self.values)

    def above(self, other: Band) -> bool:
        """Whether all of it is above all of another: no seed of one is as good as any of the other.

        >>> Band((0.8, 0.9)).above(Band((0.7, 0.8)))
        False
        """
        return self.least > other.most


@final
@dataclass(frozen=True, kw_only=True)
class Results:
    """The scores of every method, seed and round that there are by now."""

    settings: Settings
    scores: Mapping[tuple[str, int], Sequence[Mapping[str, float]]] = field(
        default_factory=dict[tuple[str, int], Sequence[Mapping[str, float]]]
    )
    """By method and seed, those after each round in order."""

    def following(self, method: str, seed: int, point: Point) -> Results:
        """With one round more."""
        known = self.scores.get((method, seed), ())
        return replace(self, scores={**self.scores, (method, seed): (*known, point.scores)})

    @property
    def complete(self) -> bool:
        """Whether every round of every method and seed is there."""
        return self.rounds_done == self.rounds_planned

    @property
    def rounds_done(self) -> int:
        """Of all methods and seeds."""
        return sum(len(each) for each in self.scores.values())

    @property
    def rounds_planned(self) -> int:
        """Of all methods and seeds."""
        return self.settings.rounds * SEEDS * len(methods(self.settings))

    def curve(self, method: str, metric: str) -> list[Band]:
        """After each round, the band over the seeds that have come so far."""
        runs = [self.scores.get((method, seed), ()) for seed in self.settings.seeds]
        longest = max(len(run) for run in runs)
        return [Band(tuple(run[at][metric] for run in runs if len(run) > at)) for at in range(longest)]

    def last(self, method: str, metric: str) -> Band | None:
        """After the last round, over all seeds; None until these are there."""
        runs = [self.scores.get((method, seed), ()) for seed in self.settings.seeds]
        if any(len(run) < self.settings.rounds for run in runs):
            return None
        return Band(tuple(run[-1][metric] for run in runs))


METRIC_NAMES: Mapping[str, str] = {metric.name: metric.name.replace("_", " ") for metric in METRICS} | {"auc": "AUC"}
"""As a reader sees them."""


def title_of(method: str) -> str:
    """A method as a reader sees it.

    >>> title_of("Hospital A"), title_of("pooled")
    ('Hospital A alone', 'All rows in one place')
    """
    return {"federated": "Together", "pooled": "All rows in one place"}.get(method, f"{method} alone")
