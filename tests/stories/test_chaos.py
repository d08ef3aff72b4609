"""Hub, nodes and workers are killed while a plan runs, and nothing of it shows in what comes out.

The long form, with more seeds and kills, is `make chaos`; `bench/chaos` says what is held against what.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")
def test_a_plan_ends_as_if_nothing_had_been_killed():
    command = [sys.executable, "-m", "bench.chaos", "--seeds", "7", "--kills", "2", "--rounds", "14"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    calm, chaos = map(json.loads, ended.stdout.splitlines())
    assert (calm["attempts"], calm["kills"]) == (0, {})
    assert sum(chaos["kills"].values()) >= 6
