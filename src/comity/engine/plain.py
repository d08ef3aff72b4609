"""The plain engine: one site after the other on one thread. It is the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

from comity.engine.lockstep import Add, settled
from comity.values.contribution import gather
from comity.values.model import Fit, Model, Training
from comity.values.strategy import Given, Steps

RunTraining: TypeAlias = Callable[[Training], Fit]

Local: TypeAlias = Callable[[RunTraining | None], Given | Steps]
"""One site's `local` of this round, given how to run its trainings."""

Tally: TypeAlias = Counter[str]
"""How many trainings were run in which way; a result shows it."""


@final
@dataclass(frozen=True)
class Plain:
    """One thread, sites in the order of their names; the same weights to the last bit on every run."""

    def on(self, model: Model | None) -> Model | None:
        """The model as this engine runs it: on the CPU."""
        return model

    def locals(
        self, model: Model | None, calls: Iterable[Local], tally: Tally, *, add: Add = gather
    ) -> Iterator[Given]:
        """What each call gives, in their order; one is held at a time, unless they sum at every step, by `add`."""
        run = None if model is None else _counted(model, tally)
        return settled((call(run) for call in calls), add)


def _counted(model: Model, tally: Tally) -> RunTraining:
    def run(training: Training) -> Fit:
        tally["one by one"] += 1
        return model.fit(training)

    return run
