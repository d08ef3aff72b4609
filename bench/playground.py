"""How long the playground takes from Run to the first point of a curve, and to the last chart and its reading.

Usage: python -m bench.playground [TURNS]: 3 unless given. The server is `comity playground`, warm; the client reads its
events as a browser does, each with the charts drawn anew. The floor is the bare training of the same models with the
same steps (`bench/floors/playing.py`, `playing_table.py`) in as many processes, which are there already. Ours and floor
take turns. Prints seconds and processor seconds of both (the server's with all that it forked), their ratios, and the
goals, which are for two cores that do nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from urllib.parse import urlsplit

import torch
from bench.floors import playing, playing_table

PROCESSES = 2

RUNS: dict[str, tuple[str, Callable[..., object], list[tuple[int, tuple[int, ...]]], float, float | None]] = {
    "default: BreastMNIST, 80/20": ("", partial(playing.job, playing.images()), playing.JOBS, 20.0, 2.0),
    "instant: biopsies": (
        "?data=breast_cancer",
        partial(playing_table.job, playing_table.biopsies()),
        playing_table.JOBS,
        3.0,
        None,
    ),
}
"""Query, floor, its jobs, and the goals for the last chart and the first point, in seconds."""


def main(turns: int) -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    command = [sys.executable, "-m", "comity", "playground", "--processes", str(PROCESSES)]
    with (
        ProcessPoolExecutor(PROCESSES, get_context("fork")) as pool,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        for name, (query, job, jobs, last_goal, first_goal) in RUNS.items():
            timed = partial(processor, job)
            list(pool.map(timed, jobs[:PROCESSES]))  # warm
            ours, first, floor, cpu, bare = [], [], [], [], []
            for _ in range(turns):
                began = perf_counter()
                bare.append(sum(pool.map(timed, jobs)))
                floor.append(perf_counter() - began)
                before = spent(server.pid)
                seconds = run(address, query)
                ours.append(seconds[1])
                first.append(seconds[0])
                cpu.append(spent(server.pid) - before)
            print(f"{name}, median of {turns}, load {os.getloadavg()[0]:.1f}")
            tell("first point", first, first_goal)
            tell("last chart", ours, last_goal)
            for kind, mine, base in (("seconds", ours, floor), ("processor s", cpu, bare)):
                ratio = median(one / other for one, other in zip(mine, base, strict=True))
                print(f"  {kind:14}{median(mine):7.2f}     bare training {median(base):.2f}, ratio {ratio:.2f}")
        server.terminate()


def processor(job: Callable[..., object], given: tuple[int, tuple[int, ...]]) -> float:
    """Processor seconds of one job."""
    began = process_time()
    job(*given)
    return process_time() - began


def run(address: str, query: str) -> tuple[float, float]:
    """Seconds until the first point of a curve was drawn, and until the end."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.netloc)
    began, first = perf_counter(), 0.0
    connection.request("GET", f"{parts.path}/run{query}")
    events = connection.getresponse()
    while line := events.readline():
        if not first and line.startswith(b"data:") and b'class=\\"m-' in line:
            first = perf_counter() - began
        if line == b"event: end\n":
            connection.close()
            return first, perf_counter() - began
    raise SystemExit("the run did not end")


def spent(pid: int) -> float:
    """Processor seconds of a process, of its children, and of those that these have waited for."""
    found = 0.0
    for each in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        found += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return found


def tell(name: str, seconds: list[float], goal: float | None) -> None:
    """Print one figure, and whether it is within its goal."""
    verdict = "" if goal is None else f"   goal {goal:.0f} s {'reached' if median(seconds) <= goal else 'MISSED'}"
    shown = ", ".join(f"{each:.2f}" for each in seconds)
    print(f"  {name:14}{median(seconds):7.2f} s{verdict}   ({shown})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
