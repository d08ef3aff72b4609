"""A workload as an experiment, and as a program of its own: `python -m bench.federated w1 20`."""

import sys
from importlib import import_module

from torch.nn.functional import cross_entropy

import comity as co


def experiment(work, rounds: int) -> co.Experiment:
    """Federated averaging on `work`, a module as bench.floors.w1; nothing is evaluated, as in the floors."""
    return co.Experiment(
        model=co.torch.Model(work.net, cross_entropy),
        train=co.Train(optimizer=co.SGD(lr=work.LR), batch_size=work.BATCH, epochs=1),
        strategy=co.FedAvg(sites_per_round=work.PER_ROUND),
        rounds=rounds,
    )


def sites(work) -> list[co.Site]:
    """The workload's sites."""
    return [co.Site(f"site {number:03}", train=rows) for number, rows in enumerate(work.arrays())]


if __name__ == "__main__":
    work = import_module(f"bench.floors.{sys.argv[1]}")
    co.simulate(experiment(work, int(sys.argv[2])), sites(work))
