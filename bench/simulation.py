"""Simulation against the floors, in CPU seconds of interleaved runs: `python -m bench.simulation`.

Every line is a ratio: ours over the floor's of the same turn, the median of all turns with quartiles.
Wall time is no figure here, since the machine may be busy; a goal missed makes the exit status 1.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from time import process_time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from bench.federated import experiment, sites
from bench.floors import lean, sequential, vectorized, w1, w2
from bench.ratio import line

import comity as co

TURNS = 9
GOALS = {"w1": {"Auto": 0.90, "Plain": 1.15}, "w2": {"Auto": 1.10, "Plain": 1.15}}
LEARNED_ROUNDS = 20


def main() -> int:
    torch.set_num_threads(1)
    missed = 0
    for work, rounds in ((w1, 6), (w2, 3)):
        missed += in_this_process(work, rounds)
    missed += subprocess.run([sys.executable, "-m", "bench.whole_run"], check=False).returncode
    return int(missed > 0)


def in_this_process(work, rounds: int) -> int:
    """How many goals were missed by rounds of one workload, imports and first calls left out."""
    name, tensors, ours = work.__name__.rpartition(".")[2], work.tensors(), sites(work)
    made = experiment(work, rounds)
    contenders: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "lean": lambda: lean.run(work, tensors, rounds),
        "sequential": lambda: sequential.run(work, tensors, rounds),
        "vectorized": lambda: vectorized.run(work, tensors, rounds),
        "Plain": lambda: weights(co.simulate(made, ours, engine=co.Plain())),
        "Auto": lambda: weights(co.simulate(made, ours, engine=co.Auto())),
    }
    seconds = interleaved(contenders)
    print(f"{name}: {rounds} rounds, CPU seconds a round and ratio to the lean loop, {TURNS} turns")
    learned = (
        sequential.run(work, tensors, LEARNED_ROUNDS),
        weights(co.simulate(experiment(work, LEARNED_ROUNDS), ours)),
    )
    theirs, own = (sequential.accuracy(work, each, tensors) for each in learned)
    print(f"  accuracy after {LEARNED_ROUNDS} rounds: sequential {theirs:.3f}, Plain {own:.3f}")
    missed = 0
    for contender, values in seconds.items():
        goal = GOALS[name].get(contender)
        missed += line(contender, values, seconds["lean"], 1 / rounds, "s", goal)
    return missed


def weights(run: co.Run) -> dict[str, torch.Tensor]:
    """The weights of a run as a state_dict."""
    return {name: torch.from_numpy(leaf) for name, leaf in run.state.params.items()}


def interleaved(contenders: dict[str, Callable[[], dict[str, torch.Tensor]]]) -> dict[str, list[float]]:
    """CPU seconds of every contender in every turn; each begins a turn as often as the others."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()  # warm
    names = list(contenders)
    for turn in range(TURNS):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            before = process_time()  # user and system, of all threads
            contenders[name]()
            seconds[name].append(process_time() - before)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
