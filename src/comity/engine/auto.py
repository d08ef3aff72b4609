"""The engine that trains many sites at once where that is faster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import final

from comity.engine.lockstep import Add, settled
from comity.engine.plain import Local, Plain, RunTraining, Tally
from comity.values.contribution import gather
from comity.values.model import Fit, Model, Training
from comity.values.strategy import Given, Steps

AT_ONCE = 64
"""Sites that run together at most: each holds a copy of the model."""


class Asked(BaseException):
    """Stops a site's `local` where it asks for a training. No error, so that no strategy catches it as one."""

    def __init__(self, training: Training) -> None:
        self.training = training


@final
@dataclass(frozen=True)
class Auto:
    """Vectorizes over sites, or uses another device; promises the plain result to a tolerance only.

    A strategy's `local` is pure, so each site's runs until it asks for a training, is stopped there,
    and runs again with the fit it asked for, when those of all sites were trained together. So every
    strategy is written once, for one site. What does not train together is run as `Plain` does.
    """

    device: str = "cpu"
    """Where models that can are run, e.g. "cuda"."""

    def on(self, model: Model | None) -> Model | None:
        """The model on this engine's device."""
        return model.on(self.device) if model else None

    def locals(
        self, model: Model | None, calls: Iterable[Local], tally: Tally, *, add: Add = gather
    ) -> Iterator[Given]:
        """What each call gives, in their order; sums at every step are made by `add`."""
        in_vain = tally["one by one"] and not tally["together"]
        if model is None or in_vain:
            return Plain().locals(model, calls, tally, add=add)
        return settled(_grouped(model, calls, tally), add)


def _grouped(model: Model, calls: Iterable[Local], tally: Tally) -> Iterator[Given | Steps]:
    waiting = iter(calls)
    while group := list(islice(waiting, AT_ONCE)):
        yield from _together(model, group, tally)


def _together(model: Model, calls: Sequence[Local], tally: Tally) -> list[Given | Steps]:
    fits: list[list[Fit]] = [[] for _ in calls]
    results: dict[int, Given | Steps] = {}

    def answering(at: int, *, stops: bool) -> RunTraining:
        """Trainings as one site sees them: the fits that are there first, then it stops or trains by itself."""
        known = iter(fits[at])

        def run(training: Training) -> Fit:
            if (fit := next(known, None)) is not None:
                return fit
            if stops and at not in results:  # a generator asks after it was returned
                raise Asked(training)
            tally["one by one"] += 1
            return model.fit(training)

        return run

    while unfinished := [at for at in range(len(calls)) if at not in results]:
        asked: dict[int, Training] = {}
        for at in unfinished:
            try:
                results[at] = calls[at](answering(at, stops=True))
            except Asked as stop:
                asked[at] = stop.training
        made = _fits_together(model, list(asked.values()))
        if made:
            tally["together"] += len(made)
            for at, fit in zip(asked, made, strict=True):
                fits[at].append(fit)
        else:
            results.update({at: calls[at](answering(at, stops=False)) for at in asked})
    return [results[at] for at in range(len(calls))]


def _fits_together(model: Model, trainings: Sequence[Training]) -> list[Fit]:
    """The fits of all, or none when they are not to be had together."""
    try:
        return (model.fit_many(trainings) or []) if len(trainings) > 1 else []
    except Exception:  # whose fault it is shows when they are trained one by one, at its own site
        return []
