"""Experiments of SubstraFL played twice: by stock clients in their local mode, and by the same against three nodes."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import comity as co
from comity.sdk.client import embedded

collect_ignore_glob = ["experiments/*", "opener.py", "play.py", "registered.py"]
"""Programs of stock clients, which this process does not import."""

PLAY = Path(__file__).with_name("play.py")
NAMES = ["MyOrg1MSP", "MyOrg2MSP", "MyOrg3MSP"]
SECONDS = 600.0

HEAD = ["experiment", "tasks", "local mode, s", "nodes, s", "arrays equal to the last bit"]


@dataclass(frozen=True)
class Played:
    """What came of an experiment."""

    tasks: int
    seconds: float
    performances: list
    arrays: dict


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Where the nodes of a network are: a file as `comity up --json` prints it."""
    folder = tmp_path_factory.mktemp("network")
    with co.up(names=NAMES, directory=folder / "network"):
        said = []
        for name in NAMES:
            account = embedded(folder / "network", name)
            said.append({"organization": name, "url": account.url, "user": account.user, "password": account.password})
        (folder / "nodes.json").write_text(json.dumps({"nodes": said}))
        yield folder / "nodes.json"


@pytest.fixture
def play(tmp_path):
    """Play an experiment: by the clients themselves, or against nodes."""

    def run(name, rounds, *nodes):
        folder = tmp_path / ("nodes" if nodes else "local")
        folder.mkdir()
        # One thread, as nodes have it, so that sums are added in one order.
        threads = {f"{each}_NUM_THREADS": "1" for each in ("OMP", "OPENBLAS", "MKL")}
        done = subprocess.run(
            [sys.executable, PLAY, name, str(rounds), *map(str, nodes)],
            cwd=folder,
            env={**os.environ, **threads},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
        with np.load(folder / "arrays.npz") as arrays:
            return Played(arrays=dict(arrays), **json.loads((folder / "figures.json").read_text()))

    return run


def pytest_terminal_summary(terminalreporter):
    """The figures as a table of markdown, for the page on what stock clients can do."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    rows = [figures for each in reports for name, figures in each.user_properties if name == "substrafl"]
    if rows:
        terminalreporter.section("SubstraFL")
        for row in (HEAD, ["---"] * len(HEAD), *rows):
            terminalreporter.write_line("| " + " | ".join(map(str, row)) + " |")
