"""What a round of 100 sampled sites costs when there are ever more sites that are not sampled.

Usage: python bench/many_sites.py. Prints CPU milliseconds a round (median and quartiles over all rounds
but the first, of interleaved turns), wall milliseconds, the ratio to the floor, which is the same work
in a federation of 100 sites, and the memory of the process after some rounds. Memories lie on disk: the
first of a site, unlike its later ones, makes a folder, which is why SCAFFOLD's sites cost more while most
of them are new.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from resource import getpagesize
from time import monotonic, process_time

import numpy as np

import comity as co
from comity.adapters.memory_files import MemoryFiles
from comity.engine.history import Round
from comity.engine.simulate import Simulation, simulate
from comity.engine.sites import Sites

FEATURES, ROWS, SAMPLED, ROUNDS, TURNS = 20, 50, 100, 15, 5
FLOOR = 100
NUMBERS = (FLOOR, 1_000, 10_000, 100_000)
SHOWN = (1, 5, 10, 15)
STRATEGIES = (co.FedAvg(sites_per_round=SAMPLED), co.Scaffold(sites_per_round=SAMPLED))


def main() -> None:
    for strategy in STRATEGIES:
        print(f"{strategy}, {ROWS} rows a site, {FEATURES} features")
        print(f"{'sites':>8}{'CPU ms':>9}  {'quartiles':<14}{'wall ms':>8}{'ratio':>7}   MiB after rounds {SHOWN}")
        made = {number: [turn(strategy, number)] for number in NUMBERS}
        for _ in range(TURNS - 1):
            for number in NUMBERS:
                made[number].append(turn(strategy, number))
        floor = np.median(np.concatenate([cpu for cpu, _, _ in made[FLOOR]]))
        for number, turns in made.items():
            cpu, wall = (np.concatenate([each[i] for each in turns]) * 1e3 for i in (0, 1))
            low, middle, high = np.quantile(cpu, [0.25, 0.5, 0.75])
            memory = "  ".join(f"{turns[0][2][at - 1]:.1f}" for at in SHOWN)
            print(
                f"{number:8}{middle:9.2f}  {f'{low:.2f} to {high:.2f}':<14}{np.median(wall):8.2f}"
                f"{middle / floor / 1e3:7.2f}   {memory}"
            )


def turn(strategy: co.Strategy, number: int) -> tuple[list[float], list[float], list[float]]:
    """CPU seconds and wall seconds of each round after the first, and memory in MiB after each round."""
    stamps: list[tuple[float, float]] = []
    memory: list[float] = []

    def observe(name: str, done: Round) -> None:
        stamps.append((process_time(), monotonic()))
        memory.append(resident())

    experiment = co.Experiment(
        model=co.numpy.Linear(FEATURES, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=10, steps=10),
        strategy=strategy,
        rounds=ROUNDS,
    )
    simulate(experiment, Sites(loaders(number)), Simulation(memories=MemoryFiles.temporary(), observe=observe))
    cpu, wall = np.diff(np.array(stamps), axis=0).T
    return list(cpu), list(wall), memory


def loaders(number: int) -> dict[str, Callable[[], co.Site]]:
    return {name: partial(site, name) for name in (f"site {at:06}" for at in range(number))}


def site(name: str) -> co.Site:
    generator = np.random.default_rng(int(name[-6:]))
    x = generator.normal(size=(ROWS, FEATURES))
    return co.Site(name, (x, (x[:, 0] > 0).astype(float)))


def resident() -> float:
    """MiB of this process in working memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize() / 2**20


if __name__ == "__main__":
    main()
