"""How long a blob takes from node to hub to nodes, beside floors that move the same bytes.

Usage: python -m bench.relay [MEGABYTES] [RECIPIENTS] [PAIRS]: 1,000 MB to one node, three times, unless given. Each
node asks for the blob by REST and is answered once its own store has it. The floors: sealed, moved through a relay that
spools it, opened, hashed and written to the disk; and raw TCP. Hub, nodes and the floors' parts are processes of their
own; between nodes and hub there is TLS. Prints seconds, ratios, and the peak memory while it moves: resident, which
counts what the processes share in each of them, and proportional (PSS), looked at ten times a second.
"""

from __future__ import annotations

import re
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.chaos.network import Network, Node, started
from bench.flaky import BIG
from bench.floors.moving import move
from bench.floors.relaying import CHUNK, relay

MEGABYTE = 1_000_000


def main(megabytes: int, recipients: int, pairs: int) -> None:
    """Print the figures."""
    size = megabytes * MEGABYTE
    ours: list[float] = []
    sealing: list[float] = []
    raw: list[float] = []
    with TemporaryDirectory() as made, started(Path(made) / "network", 1 + recipients) as network:
        folder = Path(made)
        held = [0] * (2 + recipients)
        print(f"{megabytes} MB from one node to {recipients}, {pairs} pairs")
        for _ in range(pairs):
            path = made_blob(network, megabytes)
            pids = network.processes("hub") + network.processes("node")
            for pid in pids:
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is counted from here on
            ours.append(fetched(network, path))
            held = [max(pair) for pair in zip(held, map(_peak, pids), strict=True)]
            with (folder / "blob").open("wb") as blob:
                blob.truncate(size // CHUNK * CHUNK)
            sealing.append(relay(folder, size // CHUNK * CHUNK, [recipients]))
            raw.append(move(size, [recipients]))
            for each in folder.glob("*-*"):
                each.unlink()
    for name, values in (("node to hub to node", ours), ("sealed, relayed, written", sealing), ("raw TCP", raw)):
        ratio = median(own / floor for own, floor in zip(ours, values, strict=True))
        print(f"{name:26}{median(values):7.2f} s   ours is {ratio:6.2f} times that   ({_all(values)})")
    print(f"peak memory, MB: hub {held[0]}, sender {held[1]}, recipients {held[2:]}")


def made_blob(network: Network, megabytes: int) -> str:
    """Where a new blob of the first node's is had by all others, who have not got it yet."""
    first, *others = network.nodes.values()
    model = {"kind": "ASSET_MODEL", "multiple": False}
    code = BIG.replace(b"MEGABYTES", str(megabytes).encode())
    function = first.function(code, {}, {"blob": model})
    plan = first.post("/compute_plan/", {"key": str(uuid.uuid4()), "name": "big"})["key"]
    permissions = {"public": False, "authorized_ids": [each.organization for each in others]}
    task = {
        "key": str(uuid.uuid4()),
        "function_key": function,
        "worker": first.organization,
        "inputs": [],
        "outputs": {"blob": {"permissions": permissions, "transient": False}},
        "compute_plan_key": plan,
        "tag": None,
        "metadata": None,
        "rank": None,
    }
    first.post("/task/bulk_create/", {"tasks": [task]})
    while (status := first.get(f"/task/{task['key']}/")["status"]) != "STATUS_DONE":
        if status == "STATUS_FAILED":
            raise SystemExit("the task that makes the blob failed")
        time.sleep(0.05)
    (model,) = first.get("/model/", compute_task_key=task["key"])["results"][:1]
    for node in others:
        while not node.get("/model/", compute_task_key=task["key"])["results"]:
            time.sleep(0.05)
    return f"/model/{model['key']}/file/"


def fetched(network: Network, path: str) -> float:
    """Seconds until every other node has it."""
    _, *others = network.nodes.values()

    def ask(node: Node) -> None:
        node.opened(path).close()

    begun = time.monotonic()
    with ThreadPoolExecutor(len(others)) as threads:
        list(threads.map(ask, others))
    return time.monotonic() - begun


def _peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 // MEGABYTE if found else 0


def _all(values: list[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in values)


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given + [1000, 1, 3][len(given) :]))
