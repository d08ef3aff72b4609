"""One of SubstraFL's experiments played by stock clients: in their local mode, or against nodes.

Usage: python play.py EXPERIMENT ROUNDS [NODES], in a folder of its own, since the local mode leaves files where it
runs. NODES is a JSON file of what `comity up --json` prints; without it the clients compute here. Leaves figures.json
and arrays.npz in that folder.
"""

import json
import sys
import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import numpy as np
import substra
from substrafl.exceptions import TaskNotFoundError
from substrafl.model_loading import download_aggregate_shared_state, download_algo_state, download_train_shared_state

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "experiments")]

from registered import NAMES, register  # noqa: E402


def main(name, rounds, nodes=None):
    """Play it, and write what came of it."""
    experiment = import_module(name)
    with ExitStack() as stack:
        clients = [stack.enter_context(each) for each in (remote(nodes) if nodes else local())]
        data = register(clients, experiment.ROWS, Path.cwd(), HERE / "opener.py")
        begun = time.monotonic()
        plan = experiment.experiment(clients[0], data, int(rounds))
        clients[0].wait_compute_plan(plan.key, polling_period=0.5)
        seconds = time.monotonic() - begun
        performances = clients[0].get_performances(plan.key)
        scores = zip(performances.worker, performances.task_rank, performances.performance, strict=True)
        figures = {
            "tasks": clients[0].get_compute_plan(plan.key).task_count,
            "seconds": seconds,
            "performances": sorted(scores),
        }
        kept = getattr(experiment, "KEPT", ())
        found = {str(when): states(clients, plan.key, experiment.learned, when) for when in ({}, *kept)}
        np.savez("arrays.npz", **arrays(found))
    Path("figures.json").write_text(json.dumps(figures))


def local():
    """A client for each organization, in the names that they are given here."""
    clients = [substra.Client(backend_type="subprocess") for _ in NAMES]
    assert [each.organization_info().organization_id for each in clients] == NAMES
    return clients


def remote(nodes):
    """A client of each node, logged in."""
    said = {each["organization"]: each for each in json.loads(Path(nodes).read_text())["nodes"]}
    return [
        substra.Client(
            backend_type="remote", url=said[name]["url"], username=said[name]["user"], password=said[name]["password"]
        )
        for name in NAMES
    ]


def states(clients, plan, learned, when):
    """What each organization has, of a round or rank or else at the end: by its own client, as a user looks at it."""
    found = {}
    for name, client in zip(NAMES, clients, strict=True):
        for state, download in (
            ("algorithm", lambda client: learned(download_algo_state(client, plan, **when))),
            ("shared", lambda client: download_train_shared_state(client, plan, **when)),
            ("aggregate", lambda client: download_aggregate_shared_state(client, plan, **when)),
        ):
            try:
                found[f"{name} {state}"] = download(client)
            except TaskNotFoundError:  # the organization had no such task
                continue
    return found


def arrays(state, path=""):
    """Every array and number of a state, by where it stands."""
    if hasattr(state, "model_dump"):
        state = state.model_dump()
    if isinstance(state, dict):
        parts = state.items()
    elif isinstance(state, list | tuple):
        parts = enumerate(state)
    else:
        return {path: np.asarray(state)}
    return {where: array for name, each in parts for where, array in arrays(each, f"{path}/{name}").items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
