"""SubstraFL's FedAvg with scikit-learn beside itself: stock clients in their own local mode, and against three nodes.

Usage: python -m bench.substra [TURNS]: 3 unless given, the two one after the other in each. The experiment is
tests/substra/substrafl/experiments/fedavg_sklearn.py for six rounds: 36 tasks, two organizations train, the third adds
up, two test. Both are the unmodified clients in a process of their own, from its start to its end: imports,
registration, all tasks, and the models that are looked at afterwards. CPU seconds are of all processes; with nodes
those of hub, nodes and sandboxes are added. Every plan begins with no sandbox; environments are there. The floor of
both is a process that imports what the clients are made of, and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

import numpy as np
from bench.chaos.network import started
from bench.plans import cpu
from bench.ratio import line

NAMES = ["MyOrg1MSP", "MyOrg2MSP", "MyOrg3MSP"]

PLAY = Path(__file__).parents[1] / "tests" / "substra" / "substrafl" / "play.py"

IMPORTS = (
    "import substrafl.experiment, substrafl.strategies, substrafl.model_loading, sklearn.linear_model, comity.data"
)

ROUNDS = 6
TASKS = 36
GOAL = 0.20

THREADS = {f"{each}_NUM_THREADS": "1" for each in ("OMP", "OPENBLAS", "MKL")}


@dataclass(frozen=True)
class Cost:
    """What a process took with all that it started: seconds of the clock, and of processors."""

    wall: float
    cpu: float


def main(turns: int) -> None:
    """Print the figures."""
    if sys.version_info >= (3, 12):
        return print("SubstraFL 1.0 needs distutils, which this Python has not: measure it with Python 3.11")
    local: list[Cost] = []
    across: list[Cost] = []
    clients: list[float] = []
    floor: list[float] = []
    with TemporaryDirectory() as made:
        here = Path(made)
        with started(here / "network", NAMES) as network:
            print(f"hub and three nodes ready: {cpu(network):.1f} CPU s", flush=True)
            nodes = here / "nodes.json"
            nodes.write_text(json.dumps(network.said))
            before = cpu(network)
            warm = _play(here / "environments", 1, nodes)
            print(
                f"one round, environments made: {warm.wall:.1f} s, {warm.cpu + cpu(network) - before:.1f} CPU s",
                flush=True,
            )
            for turn in range(turns):
                floor.append(_run([sys.executable, "-c", IMPORTS], here).cpu)
                local.append(_play(here / f"local-{turn}", ROUNDS))
                before = cpu(network)
                client = _play(here / f"nodes-{turn}", ROUNDS, nodes)
                clients.append(client.cpu)
                across.append(Cost(client.wall, client.cpu + cpu(network) - before))
                _same(here / f"local-{turn}", here / f"nodes-{turn}")
    stock = [each.cpu for each in local]
    print(f"{TASKS} tasks on three organizations, {turns} turns: median, and ratio to stock local mode [quartiles]")
    line("stock, CPU", stock, stock, 1, "s", None)
    missed = line("nodes, CPU", [each.cpu for each in across], stock, 1, "s", GOAL)
    line("  of it the client's", clients, stock, 1, "s", None)
    line("floor: imports, CPU", floor, stock, 1, "s", None)
    clock = [each.wall for each in local]
    line("stock, wall", clock, clock, 1, "s", None)
    line("nodes, wall", [each.wall for each in across], clock, 1, "s", None)
    if missed:
        sys.exit("nodes took more than they may")


def _play(folder: Path, rounds: int, *nodes: Path) -> Cost:
    """What the experiment took in a folder of its own."""
    folder.mkdir()
    return _run([sys.executable, PLAY, "fedavg_sklearn", str(rounds), *nodes], folder)


def _run(command: list[str | Path], folder: Path) -> Cost:
    before, used = time.monotonic(), getrusage(RUSAGE_CHILDREN)
    with (folder / "printed.log").open("w") as printed:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **THREADS}, stdout=printed, stderr=printed, check=False
        )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{(folder / 'printed.log').read_text()[-6000:]}")
    now = getrusage(RUSAGE_CHILDREN)
    return Cost(time.monotonic() - before, now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime)


def _same(local: Path, across: Path) -> None:
    """End unless both did all tasks and came to the same arrays."""
    for each in (local, across):
        if (found := json.loads((each / "figures.json").read_text())["tasks"]) != TASKS:
            sys.exit(f"{each.name} had {found} tasks, not {TASKS}")
    with np.load(local / "arrays.npz") as mine, np.load(across / "arrays.npz") as theirs:
        if mine.files != theirs.files or any(mine[each].tobytes() != theirs[each].tobytes() for each in mine.files):
            sys.exit("the nodes came to other arrays than stock local mode")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
