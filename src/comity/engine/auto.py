"""The engine that trains many sites at once where that is faster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import TypeAlias, final

from comity.engine.lockstep import settled
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
    to the model together. So every strategy is written once, for one site. Sites are loaded, and
    their `local` runs, in threads.
    """

    device: str = "cpu"
    """Where models that can are run, e.g. "cuda"."""

    def on(self, model: Model | None) -> Model | None:
        """The model on this engine's device."""
        return model.on(self.device) if model else None

    def locals(self, model: Model | None, calls: Iterable[Local], tally: Tally) -> Iterator[Given]:
        """What each call gives, in their order."""
        if model is None:
            return Plain().locals(model, calls, tally)
        return settled(_grouped(model, calls, tally))


def _grouped(model: Model, calls: Iterable[Local], tally: Tally) -> Iterator[Given | Steps]:
    waiting = iter(calls)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        while group := list(islice(waiting, AT_ONCE)):
            yield from _together(model, group, threads, tally)


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
    try:
        while unfinished:
            event = asked.get()
            if event is None:
                unfinished -= 1
            else:
                pending.append(event)
            if pending and len(pending) == unfinished:
                _serve(model, sorted(pending, key=lambda each: each[0]), tally)
                pending.clear()
    finally:
        # After an interruption no site may wait for ever, neither those that ask nor those that will.
        while unfinished:
            event = pending.pop() if pending else asked.get()
            if event is None:
                unfinished -= 1
            else:
                event[2].cancel()
    for result in results:
        yield result.result()


def _serve(model: Model, pending: Sequence[Asked], tally: Tally) -> None:
    """Answer all that wait: with a fit, or with what went wrong, which the site's `local` then raises."""
    fits = _fits_together(model, [training for _, training, _ in pending])
    tally["together" if fits else "one by one"] += len(pending)
    for position, (_, training, future) in enumerate(pending):
        try:
            future.set_result(fits[position] if fits else model.fit(training))
        except Exception as error:
            future.set_exception(error)


def _fits_together(model: Model, trainings: Sequence[Training]) -> list[Fit] | None:
    try:
        return model.fit_many(trainings) if len(trainings) > 1 else None
    except Exception:  # whose fault it is shows when they are trained one by one, at its own site
        return None
