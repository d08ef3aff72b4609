"""Who kills: processes of one network, of each kind so many times, at random moments."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread

from bench.chaos.network import Network

KINDS = ("hub", "node", "base", "zygote", "task")

PAUSE = (0.3, 1.5)
"""Seconds between one kill and the next."""

WAIT = 5.0
"""Seconds to wait for a process of the kind to appear: a task's lives for some hundredths of a second."""


@dataclass
class Killer:
    """Kills in a thread of its own, one kind after another in an order drawn from a seed."""

    network: Network
    seed: int
    kinds: Sequence[str]
    at: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    """Each kill with its time."""
    _end: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def counts(self) -> Counter[str]:
        """Kills by kind."""
        return Counter(kind for kind, _ in self.at)

    def _run(self) -> None:
        generator = random.Random(self.seed)
        order = list(self.kinds)
        generator.shuffle(order)
        for kind in order:
            if self._end.wait(generator.uniform(*PAUSE)):
                return
            self._kill(kind, generator.choice)

    def _kill(self, kind: str, choose: Callable[[list[int]], int]) -> None:
        until = time.monotonic() + WAIT
        while time.monotonic() < until and not self._end.is_set():
            found = self.network.processes(kind)
            if found and self.network.kill(choose(found)):
                self.at.append((kind, time.monotonic()))
                return
            time.sleep(0.002)
