"""How long a round without any work takes on a network of sites, beside floors that move the same bytes.

Usage: python -m bench.round [MEGABYTES] [ROUNDS] [SITES]: 1 MB, 8 rounds, 4 sites unless given. A model goes from the
aggregator, an organization of its own, to every site; each adds a number to it and hands it on; the aggregator's node
sums, and a step takes the mean: `null_round.py`, as a growing plan with all that belongs to it. A round is from a state
to the next, by the times in the log; the first two are left out, in which sandboxes are warmed. Hub, nodes and tasks
are processes of one machine, with one disk. The floors, as often, half of them before and half after: sealed, moved
through a relay that spools it, opened, hashed and written to the disk; and raw TCP. Prints seconds, the ratio of ours
to each floor, CPU seconds a round, and peak memory by process, see `bench.watching`.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from bench.chaos.network import Network, Node, children, started
from bench.floors.moving import move
from bench.floors.relaying import CHUNK, relay
from bench.watching import MEGABYTE, Watch

import comity as co
from comity.domain.events import SiteData
from comity.domain.growing import task_key
from comity.sdk.bundling import bundled
from comity.sdk.growth import Before, growth, signatures
from comity.values.transform import Transform

sys.path.insert(0, str(Path(__file__).parent))  # a bundle is made of modules and packages that have a source

from null_round import Null

SITES = 4

WARMING = 2
"""Rounds."""

PUBLIC = {"public": True, "authorized_ids": []}

OPENER = b"""
import numpy as np

class Opener:
    def get_data(self, folders):
        return np.array([[float(open(folders[0] + "/number.txt").read())]], np.float32)

    def fake_data(self, n):
        return np.ones((n, 1), np.float32)
"""


def main(megabytes: int, rounds: int, sites: int) -> None:
    """Print the figures."""
    size = megabytes * MEGABYTE
    with TemporaryDirectory() as made:
        folder = Path(made)
        with started(folder / "network", 1 + sites) as network:
            before = floors(folder, size, sites, rounds // 2)
            (hub,), (aggregator, *others) = network.processes("hub"), network.processes("node")
            plan = begun(network, Null(size // 4), WARMING + rounds)
            while not ended(network, plan, WARMING):
                pass
            tasks = [each for base in network.processes("base") for each in (base, *below(base))]
            groups = {"hub": [hub], "aggregator": [aggregator], "a site": others[:1]}
            groups |= {"all nodes": [aggregator, *others], "all tasks": tasks}
            with Watch(groups) as watch:
                while not ended(network, plan, WARMING + rounds):
                    pass
            ours, parts = stages(network, plan, range(WARMING + 1, WARMING + rounds + 1))
            after = floors(folder, size, sites, rounds - rounds // 2)
    sealing, raw = zip(*before, *after, strict=True)
    print(f"{megabytes} MB down to {sites} sites and up again, {rounds} rounds")
    for name, values in (("a round", ours), ("sealed, relayed, written", sealing), ("raw TCP", raw)):
        ratio = median(ours) / median(values)
        shown = ", ".join(f"{each:.3f}" for each in values)
        print(f"{name:26}{median(values):7.3f} s   ours is {ratio:6.2f} times that   ({shown})")
    print("of a round, median s: " + ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts.items()))
    print(f"{'':12}CPU s a round   peak memory: proportional, without what is mapped of files, resident MB")
    for name in watch.cpu:
        memory = f"{watch.proportional[name]:31.0f}{watch.anonymous[name]:36.0f}{watch.resident[name]:10.0f}"
        print(f"{name:12}{watch.cpu[name] / rounds:13.3f}{memory}")


def floors(folder: Path, size: int, sites: int, times: int) -> list[tuple[float, float]]:
    """Seconds of so many rounds of so many sites: sealed and relayed, and as they are."""
    whole = max(1, size // CHUNK) * CHUNK
    with (folder / "blob").open("wb") as blob:
        blob.truncate(whole)
    took: list[tuple[float, float]] = []
    for _ in range(times):
        sealing = relay(folder, whole, [sites]) + relay(folder, whole, [1] * sites)
        took.append((sealing, move(size, [sites]) + move(size, [1] * sites)))
        for each in (path for path in folder.glob("*-*") if path.is_file()):
            each.unlink()
    return took


def begun(network: Network, strategy: Null, rounds: int, privacy: Sequence[Transform] = ()) -> str:
    """The key of a plan of so many rounds, which has begun."""
    first, *others = network.nodes.values()
    data: dict[str, SiteData] = {}
    for number, node in enumerate(others, 1):
        place = network.folder.parent / "data" / node.organization
        place.mkdir(parents=True, exist_ok=True)
        (place / "number.txt").write_text(str(number))
        body = {"name": "number", "permissions": PUBLIC, "logs_permission": PUBLIC}
        dataset = node.upload("/data_manager/", body, {"data_opener": OPENER, "description": b"# A number"})["key"]
        sample = node.post("/data_sample/", {"data_manager_keys": [dataset], "path": str(place)})[0]["key"]
        data[node.organization] = SiteData(dataset, (sample,))
    experiment = co.Experiment(strategy=strategy, rounds=rounds, privacy=privacy)
    functions = {}
    with TemporaryDirectory() as folder:
        bundle = bundled(experiment, Path(folder)).read_bytes()
    for stage, (inputs, outputs) in signatures(experiment).items():
        body = {"name": stage, "permissions": PUBLIC}
        body["inputs"] = {name: _json(each) for name, each in inputs.items()}
        body["outputs"] = {name: _json(each) for name, each in outputs.items()}
        functions[stage] = first.upload("/function/", body, {"file": bundle, "description": b"# A stage"})["key"]
    aggregator = first.organization
    grows = growth(experiment, data, functions, aggregator=aggregator, deadline=3600.0, retries=0, before=Before())
    for node in network.nodes.values():
        for key in functions.values():
            while not ready(node, key):
                time.sleep(0.05)
        for each in data.values():
            while each.dataset not in {one["key"] for one in node.get("/data_manager/")["results"]}:
                time.sleep(0.05)
    body = {"key": str(uuid.uuid4()), "name": "null", "growth": _json(grows)}
    return first.post("/compute_plan/", body)["key"]


def ready(node: Node, key: str) -> bool:
    """Whether a node knows that a function can be run."""
    found = [each for each in node.get("/function/", key=key)["results"] if each["key"] == key]
    return bool(found) and found[0]["status"] == "FUNCTION_STATUS_READY"


def ended(network: Network, plan: str, round: int) -> bool:
    """Whether the state after a round is there."""
    first = next(iter(network.nodes.values()))
    if first.get(f"/compute_plan/{plan}/")["status"] == "PLAN_STATUS_FAILED":
        raise SystemExit("the plan has failed")
    time.sleep(0.5)  # who asks costs as well
    return any(task["status"] == "STATUS_DONE" for task in first.get("/task/", key=_state(plan, round))["results"])


def stages(network: Network, plan: str, rounds: Sequence[int]) -> tuple[list[float], dict[str, float]]:
    """Seconds of each round, and of its parts the median, by the times in the log."""
    first, *others = network.nodes
    found = network.nodes[first].get("/task/", compute_plan_key=plan, page_size=10_000)["results"]
    times = {
        each["key"]: tuple(datetime.fromisoformat(each[f"{at}_date"]) for at in ("start", "end")) for each in found
    }
    took: dict[str, list[float]] = defaultdict(list)
    for number in rounds:
        local = [times[task_key(plan, number, "local", site)] for site in others]
        total, step = times[task_key(plan, number, "sum")], times[_state(plan, number)]
        marks = {
            "": times[_state(plan, number - 1)][1],
            "until all begin": max(begin for begin, _ in local),
            "until all are done": max(end for _, end in local),
            "until the sum begins": total[0],
            "sum": total[1],
            "until the step begins": step[0],
            "step": step[1],
        }
        for (_, before), (name, after) in pairwise(marks.items()):
            took[name].append((after - before).total_seconds())
    return [sum(each) for each in zip(*took.values(), strict=True)], {name: median(each) for name, each in took.items()}


def below(pid: int) -> list[int]:
    """A process's children, theirs, and so on."""
    return [each for child in children(pid) for each in (child, *below(child))]


def _state(plan: str, number: int) -> str:
    """The key of the task that makes the state after a round."""
    return task_key(plan, number, "step" if number else "init")


def _json(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given + [1, 8, SITES][len(given) :]))
