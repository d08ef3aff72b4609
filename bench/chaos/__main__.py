"""Chaos: hub, nodes and workers of a network are killed while a plan runs, and nothing of it shows in what comes out.

python -m bench.chaos --seeds 5 --kills 3 --rounds 43 --write docs/chaos.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.chaos import check, plan
from bench.chaos.kills import KINDS, Killer
from bench.chaos.network import Network, started

ORGANIZATIONS = 3

STUCK = 120.0
"""Seconds without a new entry in the log, after which the run is given up."""


@dataclass(frozen=True)
class Run:
    """What one run came to."""

    seed: int
    tasks: int
    seconds: float
    entries: int
    kills: dict[str, int]
    longest_silence: float
    """Seconds between two entries of the log, at most, while the plan ran."""
    attempts: int
    """Of tasks, beyond one each."""


def main() -> None:
    """Run, print one line for each run, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one run for each")
    parser.add_argument("--kills", type=int, default=4, help="of each kind, in each run")
    parser.add_argument("--rounds", type=int, default=43, help="of the plan; each has 7 tasks")
    parser.add_argument("--write", type=Path, help="a page for the figures")
    given = parser.parse_args()
    runs = [run(0, kills=0, rounds=given.rounds)]
    print(json.dumps(asdict(runs[0])), flush=True)
    for seed in given.seeds:
        runs.append(run(seed, kills=given.kills, rounds=given.rounds))
        print(json.dumps(asdict(runs[-1])), flush=True)
    if given.write:
        given.write.write_text(page(runs))


def run(seed: int, *, kills: int, rounds: int) -> Run:
    """One network, one plan, so many kills of each kind; raises AssertionError unless all is as it must be."""
    with TemporaryDirectory(prefix="comity-chaos-", ignore_cleanup_errors=True) as folder:
        try:
            return _run(Path(folder, "network"), seed, kills=kills, rounds=rounds)
        except BaseException:
            kept = Path(folder).with_suffix(".kept")
            shutil.copytree(folder, kept, ignore_dangling_symlinks=True)
            print(f"seed {seed}: everything is kept in {kept}", flush=True)
            raise


def _run(folder: Path, seed: int, *, kills: int, rounds: int) -> Run:
    key = str(uuid.uuid5(uuid.NAMESPACE_OID, f"chaos {seed}"))
    with started(folder, ORGANIZATIONS) as network:
        assets = plan.register(network)
        wanted = plan.tasks(assets, key, rounds)
        owner = next(iter(network.nodes.values()))
        owner.post("/compute_plan/", {"key": key, "name": "chaos"})
        began = time.monotonic()
        with Killer(network, seed, KINDS * kills) as killer, ThreadPoolExecutor(1) as adding:
            silence = _wait(network, key, adding.submit(plan.add, owner, wanted))
        seconds = time.monotonic() - began
        entries = _settled(network)
        found = plan.done(owner, key)
        expected = plan.expected(assets, key, rounds)
        for node in network.nodes.values():
            _same(f"what came out, as {node.organization} knows it", plan.came_out(node, key), expected)
    _same("the tasks", {each["status"] for each in found.values()}, {"STATUS_DONE"})
    _check_folders(folder, {each["key"]: each["worker"] for each in wanted})
    attempts = check.attempts(folder / "org1" / "node.db") - len(wanted)
    return Run(seed, len(wanted), round(seconds, 1), entries, dict(killer.counts()), round(silence, 2), attempts)


def _wait(network: Network, key: str, added: Future[None]) -> float:
    """Return once the plan is done, the longest time in which the log did not grow; raises when it is stuck."""
    owner = next(iter(network.nodes.values()))
    hub = network.folder / "hub" / "hub.db"
    size, grown, longest, asked = check.size(hub), time.monotonic(), 0.0, 0.0
    while True:
        time.sleep(0.02)
        now, later = time.monotonic(), check.size(hub)
        if later > size:
            size, longest, grown = later, max(longest, now - grown), now
        if now - asked > 0.5:
            asked = now
            complete = added.done() and added.result() is None
            status = owner.get(f"/compute_plan/{key}/")["status"]
            if complete and status == "PLAN_STATUS_DONE":
                return longest
            if now - grown > STUCK or status in ("PLAN_STATUS_FAILED", "PLAN_STATUS_CANCELED"):
                told = Counter((each["worker"], each["status"]) for each in plan.done(owner, key).values())
                raise AssertionError(f"the plan is {status}: {dict(told)}")


def _settled(network: Network) -> int:
    """How many entries there are, once everybody has said everything and knows everything."""
    until = time.monotonic() + STUCK
    nodes = [network.folder / name / "node.db" for name in network.nodes]
    while time.monotonic() < until:
        sizes = {check.size(each) for each in (network.folder / "hub" / "hub.db", *nodes)}
        if len(sizes) == 1 and not any(check.unfinished(each) for each in nodes):
            return sizes.pop()
        time.sleep(0.1)
    raise AssertionError(f"after {STUCK:g} s: {[(each, check.size(each), check.unfinished(each)) for each in nodes]}")


def _check_folders(folder: Path, workers: dict[str, str]) -> None:
    hub = folder / "hub" / "hub.db"
    channel = check.channel(hub)
    _same("`done` by task", check.dones(hub), dict.fromkeys(workers, 1))
    for name in sorted(set(workers.values())):
        check.verify(folder / name / "node.db", hub, channel)
        own = {key for key, worker in workers.items() if worker == name}
        _same(f"commits of {name}", check.commits(folder / name / "node.db"), own)
        _same(f"left over at {name}", check.left_over(folder / name), [])


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r:.2000}, wanted {wanted!r:.2000}")


def page(runs: Sequence[Run]) -> str:
    """The figures, for people."""
    calm, *chaos = runs
    kills = sum((Counter(each.kills) for each in chaos), Counter[str]())
    by_kind = ", ".join(f"{kills[kind]} of {name}" for kind, name in zip(KINDS, NAMES, strict=True))
    rows = "\n".join(
        f"| {each.seed or 'none'} | {sum(each.kills.values())} | {each.tasks} | {each.attempts} | {each.entries} "
        f"| {each.seconds:g} | {each.longest_silence:g} |"
        for each in runs
    )
    return PAGE.format(
        organizations=ORGANIZATIONS,
        tasks=calm.tasks,
        total=kills.total(),
        by_kind=by_kind,
        rows=rows,
        machine=_machine(),
    )


NAMES = ("the hub", "a node", "a sandbox's first process", "the process that forks a function's tasks", "a task")

PAGE = """# Chaos

`make chaos` starts a network of {organizations} organizations, runs a plan of {tasks} tasks that depend on each
other across them, and kills processes with SIGKILL at random moments: {total} kills in all,
{by_kind}.
`comity up` starts again what died. The tasks are deterministic, and what must come out is calculated a second time
without a network.

Every run, with and without kills, ended with every task done, the same digest of every model and the same
performances at every node, exactly one `done` for each task in the log, one commit for each task at its worker,
nothing left in an outbox and no file of an attempt left over; and at every node the log was checked anew from its
first entry by the rules, and came to the root that the hub had signed.

| Seed | Kills | Tasks | Attempts lost | Entries of the log | Seconds | Longest silence of the log, seconds |
|---|---|---|---|---|---|---|
{rows}

Measured on {machine}.
"""


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, SQLite"


if __name__ == "__main__":
    main()
