"""An iris-like FedAvg with scikit-learn over three organizations: 36 tasks, from `begin` to the last state.

Usage: python -m bench.iris. A network of `comity up`, its nodes just started: environments are there, no sandbox is.
Seven rounds: a first state, and in each round three local tasks, their sum and a step. Prints seconds, CPU seconds of
all processes of the network, and of a task the median overhead: from the moment that a node picks it to the fsynced
commit, less the time in the user's own code. The floor is the same experiment simulated in this process. SubstraFL's
local mode took 3.05 CPU seconds a task on such an example, 110 for 36 (2 AMD EPYC vCPU, Python 3.11, November 2026).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from bench.chaos.network import started
from bench.plans import cpu, overhead
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import comity as co
from comity.sdk.client import Client, embedded
from comity.sdk.network import Network

NAMES = ["org1", "org2", "org3"]

EXPERIMENT = co.Experiment(
    model=co.sklearn.Model(LogisticRegression(max_iter=50), features=4, classes=3),
    train=co.Train(optimizer=co.sklearn.Solver(), batch_size=0, epochs=1),
    strategy=co.FedAvg(),
    rounds=7,
    seed=1,
)


def main() -> None:
    """Print the figures."""
    sites = split()
    before = time.monotonic()
    alone = co.simulate(EXPERIMENT, sites)
    floor = time.monotonic() - before
    with TemporaryDirectory() as made:
        folder = Path(made) / "network"
        with started(folder, len(NAMES)) as network:
            for site in sites:
                client = Client(lambda name=site.name: embedded(folder, name))
                Network(client).register("iris", site, authorize=["org1"])
                client.close()
            client = Client(lambda: embedded(folder, "org1"))
            before, busy = time.monotonic(), cpu(network)
            running = Network(client).begin(EXPERIMENT, dict.fromkeys(NAMES, "iris"))
            run = running.wait()
            taken, busy = time.monotonic() - before, cpu(network) - busy
            count = sum(1 for _ in client.pages("/task/", compute_plan_key=running.key))
            print(f"{count} tasks, cold sandboxes: {taken:.2f} s, {busy:.2f} CPU s; simulated {floor:.2f} s")
            found = [f"{name} {overhead(node) * 1000:.1f}" for name, node in network.nodes.items()]
            print("overhead of a task, median ms: " + ", ".join(found))
            client.close()
    if run.digest != alone.digest:
        sys.exit("the network came to another model than the simulation")


def split() -> list[co.Site]:
    """Iris, dealt to three organizations."""
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return [co.Site(name, train=(x[part], y[part])) for name, part in zip(NAMES, np.array_split(order, 3), strict=True)]


if __name__ == "__main__":
    main()
