"""How long after `pool.run` a function's first line runs, and how long a whole task takes, beside a bare fork.

Usage: python -m bench.task_start [DISTRIBUTION...]: what is warm, numpy alone when none is named; torch, say. The
function does nothing but write the clock. One task after another, in plain processes and in the sandbox of bubblewrap.
Prints milliseconds and ratios to the floor (fork, exit and wait in a process with the same imports): medians of
interleaved pairs, with quartiles.
"""

import asyncio
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.ratio import line

from comity.adapters.environments import own
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.job import Job, Status
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.way import Way
from comity.values import requirements

PAIRS = 200
WORK = """
from time import perf_counter
def f(inputs, outputs, task_properties):
    begun = perf_counter()
    with open(outputs["clock"], "w") as file:
        file.write(repr(begun))
"""


async def main(folder: Path, distributions: list[str], level: Level) -> None:
    bundle = folder / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "function.json").write_text('{"entry": "work:f"}')
    (bundle / "work.py").write_text(WORK)
    environment = own.environment(requirements.decode([f"{each}=={version(each)}" for each in distributions]))
    started, ended, floor = [], [], []
    pool = Pool(1, folder / "sandboxes", Way(level=level))
    await pool.start()
    with bare_forks(["ctypes", "msgspec", *environment.warm]) as forks:
        for number in range(-10, PAIRS):
            job = new_job(folder, bundle, f"task{PAIRS + number}")
            begun = perf_counter()  # the same clock in every process
            outcome = await pool.run(environment, job)
            taken = perf_counter() - begun
            assert outcome.status is Status.DONE, outcome
            forks.stdin.write("\n")
            bare = float(forks.stdout.readline())
            if number >= 0:
                started.append(float(job.outputs["clock"].read_text()) - begun)
                ended.append(taken)
                floor.append(bare)
        forks.stdin.close()
    await pool.close()
    print(f"level {pool.isolation.level}, warm: {', '.join(environment.warm)}; {PAIRS} pairs; ratio to the floor")
    line("fork, exit, wait (floor)", floor, floor, 1e3, "ms", None)
    line("run to first line", started, floor, 1e3, "ms", None)
    line("run to outcome", ended, floor, 1e3, "ms", None)


def new_job(folder: Path, bundle: Path, key: str) -> Job:
    outputs = folder / key
    outputs.mkdir()
    return Job(
        task_key=key,
        plan_key="plan",
        rank=0,
        bundle=bundle,
        outputs={"clock": outputs / "clock"},
        log=folder / f"{key}.log",
        seconds=60.0,
    )


def bare_forks(modules: list[str]) -> subprocess.Popen[str]:
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
    command = [sys.executable, str(Path(__file__).parent / "floors" / "forking.py"), *modules]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env={**os.environ, **one_thread})


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        for tried in Level:
            asyncio.run(main(Path(made) / tried, sys.argv[1:] or ["numpy"], tried))
