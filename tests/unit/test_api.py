"""The everyday API: few names, each documented, each imported when it is first used."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import comity as co


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_strategy_that_is_no_everyday_name_is_pointed_to():
    with pytest.raises(AttributeError, match=r"no attribute 'FedYogi'; it is co\.strategies\.FedYogi"):
        _ = co.FedYogi


def test_there_are_at_most_forty_names():
    assert len(co.__all__) <= 40
    assert sorted(set(co.__all__)) == list(co.__all__) == dir(co)


@pytest.mark.parametrize("name", co.__all__)
def test_every_name_is_there_and_documented(name):
    value = getattr(co, name)
    own = value.__doc__ if not inspect.isclass(value) else vars(value).get("__doc__")
    assert own, f"co.{name} has no docstring of its own"
    assert not own.startswith(f"{name}("), f"co.{name} has only the docstring that dataclass makes"


def test_type_checkers_see_the_same_names_from_the_same_places():
    tree = ast.parse(Path(co.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    lazy = {name: f"{home}.{name}" for name, home in co._NAMES.items()}
    assert seen == {**lazy, **co._MODULES}


def test_importing_comity_loads_no_framework():
    heavy = ["numpy", "torch", "sklearn", "matplotlib", "scipy", "rich", "typer", "lifelines", "statsmodels"]
    done = python(f"import sys, comity; print([name for name in {heavy} if name in sys.modules])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_numpy_experiment_runs_without_frameworks():
    done = python(
        "import sys\n"
        "for name in ('torch', 'sklearn', 'matplotlib', 'pandas'): sys.modules[name] = None\n"
        "import numpy as np, comity as co\n"
        "site = co.Site('A', (np.eye(4), np.array([0., 1, 0, 1])), (np.eye(4), np.array([0., 1, 0, 1])))\n"
        "e = co.Experiment(model=co.numpy.Linear(4, 'logistic'), train=co.Train(optimizer=co.SGD(lr=1), steps=2),\n"
        "                  strategy=co.FedAvg(), metrics=[co.metrics.accuracy], best='accuracy', rounds=2)\n"
        "run = co.simulate(e, [site], engine=co.Auto(), baselines=['pooled'])\n"
        "print(len(run.history), run.table().columns[0], co.read_experiment(e.to_json()) == e)\n"
    )
    assert (done.stdout, done.stderr) == ("2 method True\n", "")


BLOCK = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "EXTRA":
            raise ModuleNotFoundError("No module named 'EXTRA'", name="EXTRA")

sys.meta_path.insert(0, Missing())
import comity as co
co.EXTRA
"""


@pytest.mark.parametrize("extra", ["torch", "sklearn"])
def test_a_missing_extra_says_how_to_get_it(extra):
    done = python(BLOCK.replace("EXTRA", extra))
    assert done.stderr.splitlines()[-1] == f"ImportError: co.{extra} needs an extra: pip install 'comity[{extra}]'"


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'comity' has no attribute 'FedAvgg'"):
        _ = co.FedAvgg
    assert not hasattr(co, "__wrapped__")
