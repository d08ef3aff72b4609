"""The engine that trains many sites at once where that is faster."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias, final

from comity.engine.lockstep import lockstep
from comity.engine.plain import Local, Plain, Tally
from comity.values.model import Fit, Model, Training
from comity.values.strategy import Given, Steps

Asked: TypeAlias = tuple[int, Training, Future[Fit]]
"""The site's position, the training it asks for, and where it waits for the fit."""

AT_ONCE = 64
"""Sites that run together at most: each holds a thread and a copy of the model."""


@final
@dataclass(frozen=True)
class Auto:
    """Vectorizes over sites, or uses another device; promises the plain result to a tolerance only.

    Each site's `local` runs until it asks for a training; when all wait, their trainings are handed
    to the model together. So every strategy is written once, for one site.
    """

    device: str = "cpu"
    """Where models that can are run, e.g. "cuda"."""

    def on(self, model: Model | None) -> Model | None:
        """The model on this engine's device."""
        return model.on(self.device) if model else None

    def locals(self, model: Model | None, calls: Iterable[Local], tally: Tally) -> Iterator[Given]:
        """What each call gives, in their order."""
        if model is None:
            yield from Plain().locals(model, calls, tally)
            return
        stepping: list[Steps] = []
        with ThreadPoolExecutor(AT_ONCE) as threads:
            waiting = list(calls)
            for start in range(0, len(waiting), AT_ONCE):
                for given in _together(model, waiting[start : start + AT_ONCE], threads, tally):
                    if isinstance(given, Generator):
                        stepping.append(given)
                    else:
                        yield given
        if stepping:
            yield from lockstep(stepping)


def _together(
    model: Model, calls: Sequence[Local], threads: ThreadPoolExecutor, tally: Tally
) -> Iterator[Given | Steps]:
    """Run each call in a thread; whenever all that are not done wait for a training, run those."""
    asked: SimpleQueue[Asked | None] = SimpleQueue()

    def at_site(position: int, call: Local) -> Given | Steps:
        def run(training: Training) -> Fit:
            fit = Future[Fit]()
            asked.put((position, training, fit))
            return fit.result()

        try:
            return call(run)
        finally:
            asked.put(None)

    results = [threads.submit(at_site, position, call) for position, call in enumerate(calls)]
    unfinished, pending = len(calls), list[Asked]()
    while unfinished:
        event = asked.get()
        if event is None:
            unfinished -= 1
        else:
            pending.append(event)
        if pending and len(pending) == unfinished:
            _serve(model, sorted(pending, key=lambda each: each[0]), tally)
            pending.clear()
    for result in results:
        yield result.result()


def _serve(model: Model, pending: Sequence[Asked], tally: Tally) -> None:
    trainings = [training for _, training, _ in pending]
    try:
        fits = model.fit_many(trainings) if len(trainings) > 1 else None
        tally["together" if fits else "one by one"] += len(trainings)
        for position, (_, training, future) in enumerate(pending):
            future.set_result(fits[position] if fits else model.fit(training))
    except BaseException as error:  # the sites' threads must not wait for ever; each raises it again
        for _, _, future in pending:
            if not future.done():
                future.set_exception(error)
