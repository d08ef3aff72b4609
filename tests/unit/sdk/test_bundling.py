"""The bundle of an experiment: the user's modules that it needs, no others, and always the same bytes."""

import functools
import importlib
import json
import os
import subprocess
import sys
import types

import pytest

import comity as co
from comity.adapters.execution.archive import unpack
from comity.sdk.bundling import ENTRY, bundled
from comity.values.errors import InvalidInput, NotSupported

METRIC = """
def brier(y, predictions):
    return float(((y - predictions) ** 2).mean())
"""

MODULES = {
    "a module": ({"mine.py": METRIC}, "mine", {"mine.py"}),
    "what it imports": (
        {
            "mine.py": "import helper, json, numpy\n" + METRIC,
            "helper.py": "import deeper",
            "deeper.py": "",
            "other.py": "",
        },
        "mine",
        {"mine.py", "helper.py", "deeper.py"},
    ),
    "a package": ({"mine/__init__.py": METRIC}, "mine", {"mine/__init__.py"}),
    "a module of a package": (
        {"mine/__init__.py": "", "mine/inner/__init__.py": "", "mine/inner/score.py": METRIC},
        "mine.inner.score",
        {"mine/__init__.py", "mine/inner/__init__.py", "mine/inner/score.py"},
    ),
    "relative imports": (
        {
            "mine/__init__.py": "",
            "mine/one.py": "",
            "mine/two.py": "x = 1",
            "mine/inner/__init__.py": "from .score import brier",
            "mine/inner/score.py": "from . import beside\nfrom .. import one\nfrom ..two import x\n" + METRIC,
            "mine/inner/beside.py": "",
            "mine/inner/unused.py": "",
        },
        "mine.inner.score",
        {
            "mine/__init__.py",
            "mine/one.py",
            "mine/two.py",
            "mine/inner/__init__.py",
            "mine/inner/score.py",
            "mine/inner/beside.py",
        },
    ),
    "a folder without __init__.py": (
        {"mine/score.py": "from mine import beside\n" + METRIC, "mine/beside.py": ""},
        "mine.score",
        {"mine/score.py", "mine/beside.py"},
    ),
    "modules that import each other": (
        {"mine.py": "import helper\n" + METRIC, "helper.py": "import mine"},
        "mine",
        {"mine.py", "helper.py"},
    ),
    "what is imported when it is needed": (
        {
            "mine.py": METRIC.replace("    return", "    import helper\n    from inner import part\n    return"),
            "helper.py": "import deeper",
            "deeper.py": "",
            "inner/__init__.py": "",
            "inner/part.py": "",
        },
        "mine",
        {"mine.py", "helper.py", "deeper.py", "inner/__init__.py", "inner/part.py"},
    ),
    "what need not be there": (
        {"mine.py": "try:\n    import missing_everywhere\nexcept ImportError:\n    pass\n" + METRIC},
        "mine",
        {"mine.py"},
    ),
}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write files, and import a module of them; it is gone after the test."""
    own = set()

    def write(files, name):
        here = tmp_path / "project"
        for path, text in files.items():
            (here / path).parent.mkdir(parents=True, exist_ok=True)
            (here / path).write_text(text)
            own.add(path.partition("/")[0].removesuffix(".py"))
        monkeypatch.syspath_prepend(here)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in [each for each in sys.modules if each.partition(".")[0] in own]:
        del sys.modules[name]


def experiment(*metrics, lr=0.1):
    return co.Experiment(
        model=co.numpy.Linear(features=2, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=lr), batch_size=2, steps=2),
        strategy=co.FedAvg(),
        metrics=[*metrics, co.metrics.accuracy],
    )


def contents(archive, into):
    unpack(archive, into)
    return {str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()}


def bundle(made, folder):
    folder.mkdir()
    return bundled(made, folder)


@pytest.mark.parametrize("case", MODULES)
def test_a_bundle_holds_the_modules_that_are_needed(written, tmp_path, case):
    files, name, wanted = MODULES[case]
    made = experiment(written(files, name).brier)
    archive = bundle(made, tmp_path / "made")
    assert contents(archive, tmp_path / "out") == {*wanted, f"{ENTRY}.py", "function.json"}
    for path in wanted:
        assert (tmp_path / "out" / path).read_text() == files[path]
    said = json.loads((tmp_path / "out" / "function.json").read_text())
    assert said["entry"] == "comity_experiment:perform"
    assert f"import {name}" in (tmp_path / "out" / f"{ENTRY}.py").read_text()
    assert any(each.startswith("comity==") for each in said["requirements"])


def test_an_unpacked_bundle_runs_from_anywhere(written, tmp_path):
    files, name, _ = MODULES["relative imports"]
    made = experiment(written(files, name).brier)
    unpack(bundle(made, tmp_path / "made"), tmp_path / "out")
    (tmp_path / "experiment.json").write_text(made.to_json())
    code = (
        "import sys, pathlib, comity_experiment; from comity.sdk.reading import read_experiment\n"
        "print(read_experiment(pathlib.Path(sys.argv[1]).read_text()).digest)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "out")}
    command = [sys.executable, "-c", code, str(tmp_path / "experiment.json")]
    assert subprocess.check_output(command, env=environment, text=True).strip() == made.digest


def test_the_same_code_makes_the_same_bytes(written, tmp_path):
    files, name, _ = MODULES["relative imports"]
    brier = written(files, name).brier
    first = bundle(experiment(brier), tmp_path / "first").read_bytes()
    for path in (tmp_path / "project").rglob("*.py"):
        os.utime(path, (1, 1))
    assert bundle(experiment(brier, lr=0.5), tmp_path / "second").read_bytes() == first, "parameters are no code"
    with (tmp_path / "project" / "mine" / "two.py").open("a") as file:
        file.write("# read once more")
    assert bundle(experiment(brier), tmp_path / "third").read_bytes() != first


def test_a_module_that_is_called_like_a_library_hides_none(written, tmp_path):
    files = {"mine/__init__.py": "", "mine/scipy.py": "import scipy.special\n" + METRIC}
    unpack(bundle(experiment(written(files, "mine.scipy").brier), tmp_path / "made"), tmp_path / "out")
    said = json.loads((tmp_path / "out" / "function.json").read_text())
    assert any(each.startswith("scipy==") for each in said["requirements"])


def test_an_experiment_of_library_parts_alone_needs_no_module(tmp_path):
    archive = bundle(experiment(), tmp_path / "made")
    assert contents(archive, tmp_path / "out") == {f"{ENTRY}.py", "function.json"}


def closure():
    def brier(y, predictions):
        return 0.0

    return brier


def renamed(name):
    def brier(y, predictions):
        return 0.0

    brier.__module__, brier.__qualname__ = name, "brier"
    return brier


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (lambda y, p: 0.0, "write it as a top-level def in a module of its own"),
        (closure(), "write it as a top-level def in a module of its own"),
    ],
    ids=["lambda", "closure"],
)
def test_what_has_no_name_is_refused_with_the_way_out(tmp_path, metric, said):
    metric = functools.wraps(metric)(metric)
    metric.__name__ = "score"
    with pytest.raises(NotSupported, match=said):
        bundle(experiment(metric), tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_what_the_script_defines_is_refused_with_the_way_out(tmp_path, monkeypatch):
    main = types.ModuleType("__main__")
    main.brier = renamed("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(NotSupported, match="brier is defined in the script itself; move it to a module beside it"):
        bundle(experiment(main.brier), tmp_path / "made")


def test_what_has_no_source_is_refused(tmp_path, monkeypatch):
    made = types.ModuleType("made_up")
    made.brier = renamed("made_up")
    monkeypatch.setitem(sys.modules, "made_up", made)
    with pytest.raises(NotSupported, match="has no source that could be read"):
        bundle(experiment(made.brier), tmp_path / "made")


def test_what_is_not_installed_is_said(written, tmp_path):
    files = {"mine.py": "def later():\n    import missing_everywhere\n" + METRIC}
    with pytest.raises(InvalidInput, match=r"mine\.py imports missing_everywhere"):
        bundle(experiment(written(files, "mine").brier), tmp_path / "made")


def test_what_accounts_for_privacy_is_loaded_and_locked_where_it_is_asked(tmp_path):
    made = co.Experiment(
        model=co.numpy.Linear(2),
        train=co.Train(optimizer=co.SGD(0.1), steps=1),
        strategy=co.FedAvg(),
        privacy=[co.privacy.RecordDP(epsilon=1.0, delta=1e-3)],
    )
    unpack(bundled(made, tmp_path), tmp_path / "there")
    assert "import dp_accounting" in (tmp_path / "there" / f"{ENTRY}.py").read_text()
    said = json.loads((tmp_path / "there" / "function.json").read_text())
    assert any(each.startswith("dp-accounting==") for each in said["requirements"])
