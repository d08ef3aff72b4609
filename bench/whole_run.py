"""A whole run of W1 in a fresh process against the plain loop in one: `python -m bench.whole_run`.

This imports neither torch nor comity: a process's peak memory would begin at that of its parent.
"""

import os
import subprocess
import sys

from bench.ratio import line

TURNS, ROUNDS = 9, 20
CPU, MEMORY = 1.0, 1.25
"""Goals: at most so many times the plain loop's."""


def main() -> int:
    os.environ["OMP_NUM_THREADS"] = "1"
    commands = {
        "sequential": [sys.executable, "bench/floors/sequential.py", "w1", str(ROUNDS)],
        "Plain": [sys.executable, "-m", "bench.federated", "w1", str(ROUNDS)],
    }
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for command in commands.values():
        cost(command)  # warm: files in the page cache
    for turn in range(TURNS):
        for name in list(commands)[:: 1 if turn % 2 else -1]:
            costs[name].append(cost(commands[name]))
    print(f"w1 as a process of its own: {ROUNDS} rounds, ratio to the plain loop, {TURNS} turns")
    missed = False
    for what, part, unit, goal in (("CPU", 0, "s", CPU), ("peak memory", 1, "MB", MEMORY)):
        floor, ours = ([each[part] for each in costs[name]] for name in ("sequential", "Plain"))
        line(f"{what}, plain loop", floor, floor, 1, unit, None)
        missed |= line(f"{what}, ours", ours, floor, 1, unit, goal)
    return int(missed)


def cost(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak resident MB of a command."""
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
