"""Plans of tasks that do nothing, on a real network of two nodes: tasks a second, and what a task costs.

Usage: python -m bench.plans [TASKS...]: 1,000 and 10,000 unless given. Everything is there: processes, HTTPS,
signatures, SQLite with fsync, a process for each task, every node projecting everything. A second figure is of a chain,
each task waiting for the one before: from one function's first line to the next, which holds the end of a task, its
commit, its entry's way through the hub, the projection, and the start of the next. The floor of a task is a bare fork,
exit and wait, and the fsync of one small row at the hub and at each node.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import time
import uuid
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.chaos.network import Network, Node, children, started

SIZES = (1000, 10_000)

LINKS = 60

BATCH = 500

IDLE = b"def work(inputs, outputs, task_properties):\n    pass\n"

CHAIN = b"""from time import clock_gettime, CLOCK_MONOTONIC
def work(inputs, outputs, task_properties):
    begun = clock_gettime(CLOCK_MONOTONIC)
    times = open(inputs["times"]).read() if "times" in inputs else ""
    open(outputs["times"], "w").write(times + repr(begun) + "\\n")
"""

MODEL = {"kind": "ASSET_MODEL", "multiple": False, "optional": True}


def main(sizes: list[int]) -> None:
    """Print the figures."""
    with TemporaryDirectory() as folder, started(Path(folder) / "network", 2) as network:
        node = network.nodes["org1"]
        print(f"chain of {LINKS}: median {_chain(node) * 1000:.1f} ms from one function's first line to the next")
        print(f"overhead of a link, from pick to commit less its own code: median {overhead(node) * 1000:.1f} ms")
        idle = node.function(IDLE, {}, {})
        first: float | None = None
        for size in sizes:
            before, busy = time.monotonic(), cpu(network)
            plan = new_plan(node)
            for at in range(0, size, BATCH):
                add(node, plan, [new_task(idle) for _ in range(min(BATCH, size - at))])
            _wait(node, plan, size)
            wall, each = time.monotonic() - before, (cpu(network) - busy) / size * 1000
            first = first or wall / size
            floor = _floor(Path(folder)) * 1000
            print(
                f"{size:>6} tasks  {size / wall:6.1f} tasks/s  {wall / size * 1000:5.2f} ms a task "
                f"({wall / size / first:.2f} of the first size)  {each:5.2f} CPU ms a task in all processes  "
                f"floor {floor:.2f} ms, ratio {wall / size * 1000 / floor:.1f}"
            )


def overhead(node: Node) -> float:
    """Seconds that the node's last tasks took beside their own code, in the middle."""
    said = re.search(r'comity_task_overhead_seconds\{quantile="0.5"\} ([0-9.e+-]+)', node.read("/metrics").decode())
    assert said is not None
    return float(said[1])


def _chain(node: Node) -> float:
    """Seconds from one function's first line to that of the task that waits for it, within an organization."""
    chain = node.function(CHAIN, {"times": MODEL}, {"times": {"kind": "ASSET_MODEL", "multiple": False}})
    plan, tasks = new_plan(node), list[dict[str, Any]]()
    for _ in range(LINKS):
        taken = [
            {"identifier": "times", "parent_task_key": before["key"], "parent_task_output_identifier": "times"}
            for before in tasks[-1:]
        ]
        outputs = {"times": {"permissions": {"public": True, "authorized_ids": []}, "transient": False}}
        tasks.append(new_task(chain, inputs=taken, outputs=outputs))
    add(node, plan, tasks)
    _wait(node, plan, LINKS)
    made = node.get(f"/task/{tasks[-1]['key']}/output_assets/")["results"][0]["asset"]
    times = [float(each) for each in node.read(f"/model/{made['key']}/file/").split()]
    return median(later - earlier for earlier, later in pairwise(times))


def new_plan(node: Node) -> str:
    return node.post("/compute_plan/", {"key": str(uuid.uuid4()), "name": "figure"})["key"]


def new_task(function: str, **more: Any) -> dict[str, Any]:
    made = {"key": str(uuid.uuid4()), "function_key": function, "worker": "org1", "inputs": [], "outputs": {}}
    return {**made, "tag": None, "metadata": None, "rank": None, **more}


def add(node: Node, plan: str, tasks: list[dict[str, Any]]) -> None:
    node.post("/task/bulk_create/", {"tasks": [{**task, "compute_plan_key": plan} for task in tasks]})


def _wait(node: Node, plan: str, tasks: int) -> None:
    while (now := node.get(f"/compute_plan/{plan}/"))["done_count"] < tasks:
        if now["failed_count"] or now["canceled_count"]:
            raise SystemExit(f"the plan is {now['status']}")
        time.sleep(0.1)


def cpu(network: Network) -> float:
    """Processor seconds of all processes of a network since it began, those that have ended included."""
    ticks, left = 0, [network.pid]
    while left:
        pid = left.pop()
        left += children(pid)
        with suppress(OSError):  # it has ended meanwhile, and counts for its parent
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _floor(folder: Path, times: int = 100) -> float:
    """Seconds of a bare fork, and of an fsynced row at three databases, one after the other."""
    places = [sqlite3.connect(folder / f"floor-{name}", isolation_level=None) for name in ("hub", "org1", "org2")]
    for place in places:
        place.execute("PRAGMA journal_mode = WAL")
        place.execute("PRAGMA synchronous = FULL")
        place.execute("CREATE TABLE IF NOT EXISTS floor (row BLOB)")
    before = time.monotonic()
    for _ in range(times):
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        for place in places:
            place.execute("INSERT INTO floor VALUES (?)", (os.urandom(400),))
    return (time.monotonic() - before) / times


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or list(SIZES))
