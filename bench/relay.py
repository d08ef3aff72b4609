"""How long a blob takes from node to hub to nodes, beside floors that move the same bytes.

Usage: python -m bench.relay [MEGABYTES] [RECIPIENTS] [PAIRS]: 1,000 MB to one node, three times, unless given. Each
node asks for the blob by REST and is answered once its own store has it. The floors: sealed, moved through a relay that
spools it, opened, hashed and written to the disk; and raw TCP. Hub, nodes and the floors' parts are processes of their
own; between nodes and hub there is TLS. Prints seconds, MB/s, CPU seconds, the median ratio of ours to each floor, pair
by pair, and by process CPU seconds and peak memory while it moves, see `bench.watching`.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from tempfile import TemporaryDirectory

from bench.chaos.network import Network, Node, started
from bench.flaky import BIG
from bench.floors.moving import move
from bench.floors.relaying import CHUNK, relay
from bench.watching import MEGABYTE, Watch


def main(megabytes: int, recipients: int, pairs: int) -> None:
    """Print the figures."""
    size = megabytes * MEGABYTE
    ours, sealing, raw = (list[tuple[float, float]]() for _ in range(3))
    watches: list[Watch] = []
    with TemporaryDirectory() as made, started(Path(made) / "network", 1 + recipients) as network:
        folder = Path(made)
        print(f"{megabytes} MB from one node to {recipients}, {pairs} pairs")
        for _ in range(pairs):
            path = made_blob(network, megabytes)
            (hub,), (sender, *others) = network.processes("hub"), network.processes("node")
            groups = {"hub": [hub], "sender": [sender], **{f"recipient {n}": [pid] for n, pid in enumerate(others, 1)}}
            with Watch(groups) as watch:
                seconds = fetched(network, path)
            watches.append(watch)
            ours.append((seconds, sum(watch.cpu.values())))
            with (folder / "blob").open("wb") as blob:
                blob.truncate(size // CHUNK * CHUNK)
            sealing.append(_timed(lambda: relay(folder, size // CHUNK * CHUNK, [recipients])))
            raw.append(_timed(lambda: move(size, [recipients])))
            for each in folder.glob("*-*"):
                each.unlink()
    print(f"{'':26}{'median':>9}{'MB/s':>8}{'ours is':>10}{'CPU':>9}{'ours is':>10}   all")
    for name, values in (("node to hub to node", ours), ("sealed, relayed, written", sealing), ("raw TCP", raw)):
        took, computed = zip(*values, strict=True)
        wall, cpu = (median(own[i] / floor[i] for own, floor in zip(ours, values, strict=True)) for i in (0, 1))
        print(
            f"{name:26}{median(took):7.3f} s{megabytes / median(took):8.0f}{wall:8.2f} x{median(computed):7.2f} s"
            f"{cpu:8.2f} x   {', '.join(f'{each:.3f}' for each in took)}"
        )
    print(f"{'':13}CPU s  peak memory: proportional, resident MB")
    for name in watches[0].cpu:
        memory = f"{max(each.proportional[name] for each in watches):14.0f}"
        memory += f"{max(each.resident[name] for each in watches):10.0f}"
        print(f"{name:13}{median(each.cpu[name] for each in watches):5.2f}{memory}")


def _timed(run: Callable[[], float]) -> tuple[float, float]:
    """What it gives, and CPU seconds of the processes that it has waited for."""
    before = getrusage(RUSAGE_CHILDREN)
    seconds, after = run(), getrusage(RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given + [1000, 1, 3][len(given) :]))
