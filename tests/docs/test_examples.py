"""Every example runs by its own first line, and is short."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").rglob("*.py") if path.name != "model.py")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_runs_as_its_first_line_says(example, tmp_path):
    text = example.read_text()
    assert len(text.splitlines()) <= 30
    command = re.search(r"comity (run examples/.*\.py.*?)\"\"\"", text.splitlines()[0]).group(1).split()
    assert ROOT / command[1] == example
    done = subprocess.run(
        [sys.executable, "-m", "comity", *command, "--json", "--save", tmp_path / "report"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["rounds"][-1]["pooled"]
    assert (tmp_path / "report" / "experiment.json").exists(), "it can be named, so it can run on a network"


def test_torch_and_numpy_learn_the_same_model():
    """examples/heart.py and examples/torch_heart differ in their framework and their rate only."""
    found = {}
    for example in ("heart.py", "torch_heart/heart.py"):
        command = ["run", f"examples/{example}", "--data", "heart", "--set", "train.optimizer.lr=0.004", "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "comity", *command], cwd=ROOT, capture_output=True, text=True, check=True
        )
        found[example] = json.loads(done.stdout)["rounds"][-1]["pooled"]
    assert found["torch_heart/heart.py"]["auc"] == pytest.approx(found["heart.py"]["auc"], abs=1e-3)
