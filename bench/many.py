"""Ten experiments at once on the same four nodes, and how soon a cancelled one has left no process behind.

Usage: python -m bench.many [EXPERIMENTS] [CANCELLED]: 10 and 10 unless given. Each experiment is three rounds of
logistic regression on the four hospitals' rows. Prints when the first and the last of them had ended, beside as many
one after the other. Then, one at a time: an experiment whose code never ends is begun, cancelled when it runs at all
four, and timed from the request until none of its processes is left; beside the floor, a request that changes nothing.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.chaos.network import Network, below, started

import comity as co
from comity.sdk.client import Client, embedded
from comity.sdk.network import Network as User

sys.path.insert(0, str(Path(__file__).parent))  # a bundle is made of modules and packages that have a source

from endless import Endless

NAMES = ["org1", "org2", "org3", "org4"]

ON = dict.fromkeys(NAMES, "heart")

HEART = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=10),
    strategy=co.FedAvg(),
    rounds=3,
)

ENDLESS = co.Experiment(strategy=Endless(), rounds=1)


def main(experiments: int, cancelled: int) -> None:
    """Print the figures."""
    with TemporaryDirectory() as made, started(Path(made) / "network", len(NAMES)) as network:
        folder = network.folder
        for name, site in zip(NAMES, co.data.heart(), strict=True):
            client = Client(lambda name=name: embedded(folder, name))
            User(client).register("heart", replace(site, name=name), authorize=["org1"])
            client.close()
        user = User(Client(lambda: embedded(folder, "org1")))
        user.run(HEART, ON)  # functions are approved, and modules imported
        alone = timed(user, range(1, experiments + 1), together=False)
        ends = timed(user, range(101, experiments + 101), together=True)
        print(f"{experiments} experiments at once: the first has ended after {ends[0]:.2f} s, the last {ends[-1]:.2f}")
        print(f"one after the other: {alone[-1]:.2f} s; at once takes {ends[-1] / alone[-1]:.2f} times that")
        took, asked = zip(*(cancelling(network, user, seed) for seed in range(cancelled)), strict=True)
        shown = ", ".join(f"{each:.3f}" for each in took)
        print(f"cancelled, until no process is left: median {median(took):.3f} s, at most {max(took):.3f} s ({shown})")
        print(f"a request that changes nothing: median {median(asked):.3f} s")


def timed(user: User, seeds: range, *, together: bool) -> list[float]:
    """When experiments of these seeds had ended, in seconds from the beginning of all."""
    began, ends = time.monotonic(), list[float]()
    if together:
        running = [user.begin(replace(HEART, seed=seed), ON) for seed in seeds]
        while len(ends) < len(running):
            over = sum(each.now()["status"] == "PLAN_STATUS_DONE" for each in running)
            ends += [time.monotonic() - began] * (over - len(ends))
            time.sleep(0.05)
        return ends
    for seed in seeds:
        user.run(replace(HEART, seed=seed), ON)
        ends.append(time.monotonic() - began)
    return ends


def cancelling(network: Network, user: User, seed: int) -> tuple[float, float]:
    """(seconds from the request to cancel until no process is left, those of a request that changes nothing)."""
    endless = user.begin(replace(ENDLESS, seed=seed), ON)
    while len(tasks_of(network)) < len(NAMES):
        time.sleep(0.01)
    mine = tasks_of(network)
    began = time.monotonic()
    endless.cancel()
    while any(Path(f"/proc/{pid}").exists() for pid in mine):
        time.sleep(0.001)
    took, began = time.monotonic() - began, time.monotonic()
    endless.now()
    return took, time.monotonic() - began


def tasks_of(network: Network) -> list[int]:
    """The processes of all tasks."""
    return [pid for name, node in network.daemons().items() if name != "hub" for pid in below(node, "task")]


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given + [10, 10][len(given) :]))
