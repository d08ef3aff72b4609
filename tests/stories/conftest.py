"""What several stories share: programs that run until the test ends, and one plan over three organizations."""

import json
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMITY = str(Path(sys.executable).parent / "comity")
SECONDS = 60.0
"""After which a test gives up waiting; it waits for what happens, never for time to pass."""

OPENER = """
from pathlib import Path

class Rows:
    def get_data(self, folders):
        return [float(each) for folder in folders for each in Path(folder, "values.txt").read_text().split()]

    def fake_data(self, n_samples):
        return [1.0] * n_samples
"""

TOTAL = {
    "entry": "total:total",
    "inputs": {
        "data": {"kind": "ASSET_DATA_MANAGER"},
        "datasamples": {"kind": "ASSET_DATA_SAMPLE", "multiple": True},
    },
    "outputs": {"total": {"kind": "ASSET_MODEL"}},
}
TOTAL_CODE = """
import json
from pathlib import Path

def total(inputs, outputs, task_properties):
    rows = inputs["datasamples"]
    Path(outputs["total"]).write_text(json.dumps([sum(rows), len(rows)]))
"""

MEAN = {
    "entry": "mean:mean",
    "inputs": {"totals": {"kind": "ASSET_MODEL", "multiple": True}},
    "outputs": {"mean": {"kind": "ASSET_MODEL"}, "rows": {"kind": "ASSET_PERFORMANCE"}},
}
MEAN_CODE = """
import json
from pathlib import Path

def mean(inputs, outputs, task_properties):
    pairs = [json.loads(Path(each).read_text()) for each in inputs["totals"]]
    rows = sum(count for _, count in pairs)
    Path(outputs["mean"]).write_text(repr(sum(total for total, _ in pairs) / rows))
    Path(outputs["rows"]).write_text(json.dumps({"all": rows}))
"""

PLAN = """
name = "one mean"

[tasks.left]
function = "total"
data = "left"

[tasks.right]
function = "total"
data = "right"

[tasks.mean]
function = "mean"
worker = "org3"
inputs.totals = ["left.total", "right.total"]
outputs.mean = ["org2"]
"""


class Program:
    """A hub or a node as a process; it is ready when it prints a line with `word`."""

    def __init__(self, word, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self._lines():
            if word in line:
                self.said = line
                return
        raise AssertionError(f"{command} ended before it was ready")

    def _lines(self):
        while select.select([self.process.stdout], [], [], SECONDS)[0] and (line := self.process.stdout.readline()):
            yield line

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(SECONDS)
        self.process.stdout.close()


@pytest.fixture
def start():
    """Run `comity` with these arguments until the test ends; gives it once it has printed a line with a word.

    `within` is what stands before the command: where it is to run.
    """
    yield from _starting()


@pytest.fixture(scope="module")
def start_for_all():
    """As `start`, until the tests of a file have ended."""
    yield from _starting()


def _starting():
    made = []

    def run(word, *arguments, within=()):
        made.append(Program(word, [*within, COMITY, *map(str, arguments)]))
        return made[-1]

    yield run
    for each in reversed(made):
        if each.process.poll() is None:
            each.end()


@pytest.fixture
def one_mean():
    """Tell of a mean over the rows of org1 and org2, taken by org3 and given to org2.

    `comity(organization, *arguments, refused=False)` runs the command from `folder`: it gives what --json prints, or
    with `refused` the sentence of its error. Gives the plan as it is shown when it is done.
    """
    return tell


def tell(folder, comity):
    # data are registered where they lie
    (folder / "opener.py").write_text(OPENER)
    for name, rows in (("left", "1 2 3"), ("right", "5 7")):
        (folder / name).mkdir()
        (folder / name / "values.txt").write_text(rows)
    left = comity("org1", "data", "add", "left", "--opener", "opener.py", "--name", "left")
    assert left["owner"] == "org1"
    comity("org2", "data", "add", "right", "--opener", "opener.py", "--name", "right", "--authorize", "org1")

    # functions wait for a steward of whoever is to run them
    _function(folder / "total", TOTAL, TOTAL_CODE)
    _function(folder / "mean", MEAN, MEAN_CODE)
    total = comity("org1", "function", "add", "total", "--name", "total", "--public")
    comity("org1", "function", "add", "mean", "--name", "mean", "--authorize", "org3")
    (folder / "plan.toml").write_text(PLAN)
    plan = comity("org1", "plan", "create", "plan.toml")
    end = time.monotonic() + SECONDS
    while not (waiting := [each for each in comity("org2", "approve") if each["waiting_tasks"]]):
        assert time.monotonic() < end, "waited for a function to approve in vain"
    assert [each["function"]["key"] for each in waiting] == [total["key"]]
    assert waiting[0]["approved"] is None
    review = comity("org2", "approve", "total", "--show")
    assert review["files"]["total.py"] == TOTAL_CODE
    assert review["before"] is None
    comity("org2", "approve", "total", "--yes")
    comity("org3", "approve", "mean", "--yes")

    # a plan over three organizations
    shown = comity("org1", "plan", "show", plan["key"], "--wait")
    assert shown["status"] == "PLAN_STATUS_DONE"
    assert {each["tag"]: (each["worker"], each["rank"]) for each in shown["tasks"]} == {
        "left": ("org1", 0),
        "right": ("org2", 0),
        "mean": ("org3", 1),
    }
    assert [each["perf"] for each in shown["performances"]] == [5.0]

    # outputs go to the authorized one and not to the other
    given = comity("org2", "plan", "download", plan["key"], "mean.mean", "--into", "given")
    assert float(Path(folder, given["files"]["mean.mean"]).read_text()) == (1 + 2 + 3 + 5 + 7) / 5
    refused = comity("org2", "plan", "download", plan["key"], "left.total", refused=True)
    assert "org2 may not process" in refused
    return shown


def _function(folder, said, code):
    folder.mkdir()
    (folder / "function.json").write_text(json.dumps(said))
    (folder / f"{folder.name}.py").write_text(code)
