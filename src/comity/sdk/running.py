"""An experiment that a network runs, whoever watches: followed, waited for, cancelled."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

from comity.engine.experiment import Experiment
from comity.engine.run import Run
from comity.privacy.warning import said_before
from comity.sdk.client import Client
from comity.sdk.continuing import continued
from comity.sdk.outcome import OVER, Failure, failures, run_of
from comity.sdk.placing import Conduct, place
from comity.sdk.reading import read_experiment
from comity.values.errors import RoundFailed, Unavailable

WAIT = 20_000
"""Milliseconds that the node may hold a question for news."""

PATIENCE = 600.0
"""Seconds without an answer of the node before a caller is told; the experiment goes on all the same."""

PAUSE = 2.0
"""Seconds between two attempts at reaching it, drawn at random up to these."""

Observe = Callable[[Mapping[str, Any]], None]
"""Called with the experiment's rounds, as REST shows them, whenever they have changed."""


@final
class Running:
    """One experiment on a network. It is the node that conducts it: this may be closed, and taken up elsewhere."""

    def __init__(self, client: Client, key: str, experiment: Experiment | None = None) -> None:
        self._client = client
        self._experiment = experiment
        self.key = key
        """Of its compute plan."""

    def __repr__(self) -> str:
        return f"Running({self.key!r})"

    def now(self) -> Mapping[str, Any]:
        """Its rounds as they stand: who took part, what was measured, what it waits for."""
        return self._client.get(f"/compute_plan/{self.key}/rounds/")

    def watch(self) -> Iterator[Mapping[str, Any]]:
        """Its rounds, anew whenever they have changed, until it is over.

        Raises Unavailable when the node has not answered for ten minutes.
        """
        version, last, heard = -1, {}, time.monotonic()
        while True:
            try:
                shown = self._client.get(f"/compute_plan/{self.key}/rounds/", after=version, wait=WAIT)
            except Unavailable as error:
                if time.monotonic() - heard > PATIENCE:
                    raise Unavailable(f"{error}; the experiment goes on: comity plan watch {self.key}") from error
                time.sleep(random.random() * PAUSE)
                continue
            heard = time.monotonic()
            version = shown["version"]
            if shown != last:  # what it waits for changes with the time alone
                last = shown
                yield shown
            if shown["status"] in OVER:
                return

    def ended(self, observe: Observe | None = None) -> Mapping[str, Any]:
        """Its rounds, once it is over, whatever it came to."""
        shown: Mapping[str, Any] = {}
        for shown in self.watch():
            if observe is not None:
                observe(shown)
        return shown

    def wait(self, observe: Observe | None = None) -> Run:
        """The run, once it is over: as `co.simulate` gives it. Raises RoundFailed when it was cancelled or failed."""
        shown = self.ended(observe)
        if shown["status"] == "PLAN_STATUS_CANCELED":
            raise RoundFailed(f"the experiment {self.key} was cancelled after {_done(shown)} rounds")
        if shown["status"] == "PLAN_STATUS_FAILED":
            said = "; ".join(map(str, failures(self._client, shown)))
            raise RoundFailed(f"the experiment {self.key} failed after {_done(shown)} rounds: {said}")
        return run_of(self._client, self.experiment(shown), shown)

    def experiment(self, shown: Mapping[str, Any] | None = None) -> Experiment:
        """What is run; its modules have to be importable here, when this was not begun here."""
        if self._experiment is None:
            with said_before():
                self._experiment = read_experiment((shown or self.now())["experiment"])
        return self._experiment

    def failures(self) -> list[Failure]:
        """What has failed at which site, the last of each, with the end of its log where that may be read here."""
        return failures(self._client, self.now())

    def cancel(self) -> None:
        """End it: open tasks are cancelled, and what runs is killed."""
        self._client.post(f"/compute_plan/{self.key}/cancel/")


def resume(client: Client, key: str, rounds: int | None = None) -> Running:
    """As `Network.resume`."""
    ended = Running(client, key)
    shown = ended.now()
    experiment, before = continued(client, ended.experiment(shown), shown, rounds)
    how = Conduct(aggregator=shown["aggregator"], name=shown["name"], before=before)
    return Running(client, place(client, experiment, shown["datasets"], how), experiment)


def _done(shown: Mapping[str, Any]) -> int:
    return sum(each["state"] is not None for each in shown["rounds"])
