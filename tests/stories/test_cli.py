"""The `comity` command as a person or a script meets it: a process, its streams, its exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

COMITY = [str(Path(sys.executable).parent / "comity")]
MODULE = [sys.executable, "-m", "comity"]
EXAMPLES = Path(__file__).parents[2] / "examples"

HASTY = """
from dataclasses import replace
from comity.faces.cli.main import main
from comity.faces.demos import heart

whole = heart.experiment
heart.experiment = lambda *given: replace(whole(*given), rounds=2, evaluate_every=2)
heart.LONG = replace(heart.LONG, train=replace(heart.LONG.train, epochs=2))
heart.SEEDS, heart.GRID = heart.SEEDS[:1], heart.GRID[2:4]
main()
"""
"""The command with a demo of heart disease that has one seed, two rounds, and two learning rates to choose from."""

HEART = """
import comity as co

experiment = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.003), batch_size=4, steps=20),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy, co.metrics.auc],
    rounds=2,
)
"""


@pytest.fixture
def comity(tmp_path):
    """Run the command in an empty directory; gives (exit code, output, errors)."""

    def run(*arguments, command=COMITY, without=(), **variables):
        blocked = tmp_path / "blocked"
        blocked.mkdir(exist_ok=True)
        (blocked / "sitecustomize.py").write_text(BLOCK.format(names=list(without)))
        path = os.pathsep.join(filter(None, [str(blocked) if without else "", os.environ.get("PYTHONPATH", "")]))
        variables = {"COLUMNS": "100", "PYTHONPATH": path, **variables}
        done = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr

    return run


BLOCK = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        return name

    return write


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def sentence(code, out, err):
    """The one line of an error that was told as it should be."""
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err.removeprefix("comity: ").rstrip()


# ---- demos


@pytest.mark.parametrize(
    ("command", "near"),
    [
        pytest.param([sys.executable, "-c", HASTY], 0.1, id="hasty"),
        pytest.param(COMITY, 0.02, id="whole", marks=pytest.mark.long),
    ],
)
def test_heart_prints_one_json_object_without_torch_and_sklearn(comity, command, near):
    code, out, err = comity("demo", "heart", "--json", command=command, without=["torch", "sklearn"])
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    found = strict(out)
    assert list(found) == ["demo", "methods", "seconds"]
    assert found["demo"] == "heart"
    assert len(found["methods"]) == 13
    for method in found["methods"].values():
        assert list(method) == ["mean_over_sites", "pooled_test", "published"]
    assert found["methods"]["FedAvg"]["mean_over_sites"] == pytest.approx(0.685, abs=near)
    assert found["methods"]["FedAvg, cross-validated"]["published"] is None
    assert found["seconds"] > 0


@pytest.fixture(scope="module")
def survival(tmp_path_factory):
    """(its exit code, output, errors, folder) of the demo of survival, run once for all who look at it."""

    @cache
    def run(columns):
        folder = tmp_path_factory.mktemp("survival")
        # One terminal that is narrow and refuses colour, though somebody asks for it; one as a pipe is.
        refuses = {"NO_COLOR": "1", "FORCE_COLOR": "1"} if columns < WIDE else {}
        done = subprocess.run(
            [*COMITY, "demo", "survival"],
            cwd=folder,
            env={**os.environ, "COLUMNS": str(columns), **refuses},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr, folder / "comity-demo-survival"

    return run


WIDE = 100
each_width = pytest.mark.parametrize("columns", [60, WIDE])


def test_a_demo_leaves_a_report_that_can_be_read_without_comity(survival):
    code, out, err, folder = survival(WIDE)
    assert (code, err) == (0, "")
    assert {each.name for each in folder.iterdir()} == {
        *("demo.md", "demo.csv", "demo.json", "demo.png"),
        *(
            "summary.md",
            "model.safetensors",
            "metrics.csv",
            "metrics.json",
            "figure.png",
            "experiment.json",
            "table.csv",
        ),
    }
    assert strict((folder / "demo.json").read_text())["demo"] == "survival"
    strict((folder / "metrics.json").read_text())
    for picture in ("demo.png", "figure.png"):
        assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
    page = (folder / "demo.md").read_text()
    assert "Federated Cox, l2 0.01" in page
    assert "may not try to find out who a patient is" in " ".join(page.split()), "the terms of the data"
    assert (folder / "demo.csv").read_text().startswith("method,mean of sites,all test rows,published")
    assert "comity-demo-survival/demo.png" in out
    assert "comity-demo-survival/demo.md" in out


def test_a_demo_shows_its_table_its_notes_and_whose_data_it_is(survival):
    _, out, *_ = survival(WIDE)
    assert re.search(r"Federated Cox, l2 0.01 +0\.8\d\d +0\.86\d", out)
    assert re.search(r"FLamby FedAdam, its best +0\.842", out)
    assert "GDC terms" in out
    assert "co.data.terms('brca')" in out


@each_width
def test_a_narrow_terminal_keeps_every_number_and_every_name(survival, columns):
    _, out, *_ = survival(columns)
    out = re.sub(r"\x1b\[[0-9;]*m", "", out)  # bold and dim take no place
    assert max(map(len, out.splitlines())) <= columns
    for line in ("Northeast alone", "Federated Cox, l2 0.001", "FLamby FedAdam, its best"):
        assert any(each.startswith(line) and re.search(r"0\.\d{3}", each) for each in out.splitlines())
    assert "…" not in out


@each_width
def test_colour_stays_out_of_pipes_and_of_terminals_that_refuse_it(survival, columns):
    _, out, *_ = survival(columns)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", out)


def test_a_misspelt_demo_suggests_the_nearest(comity):
    assert sentence(*comity("demo", "hart")).startswith("there is no demo 'hart'; did you mean 'heart'?")


def test_a_demo_that_needs_torch_says_how_to_get_it(comity, tmp_path):
    said = sentence(*comity("demo", "two-hospitals", without=["torch"]))
    assert said == "the demo two-hospitals needs PyTorch: pip install 'comity[torch]'"
    assert not (tmp_path / "comity-demo-two-hospitals").exists()


def test_a_demo_without_second_panel_says_so(comity):
    assert sentence(*comity("demo", "survival", "--more")) == (
        "the demo survival has no second panel; leave --more out"
    )


def test_a_report_folder_that_cannot_be_is_refused_before_the_work(comity, write):
    write("", name="taken")
    said = sentence(*comity("demo", "heart", "--save", "taken"))
    assert said == "taken cannot be made a report folder: File exists; give another with --save"


def test_a_closed_pipe_is_no_error(comity):
    shell = ["bash", "-c", 'set -o pipefail; "$@" | head -0', "bash", *COMITY]
    _, out, err = comity("run", str(EXAMPLES / "survival.py"), "--json", command=shell)
    assert (out, err) == ("", "")
    _, out, err = comity("demo", "survival", command=shell)
    assert (out, err) == ("", "")


# ---- run


def test_run_takes_data_settings_and_a_folder_and_prints_one_json_object(comity, write, tmp_path):
    file = write(HEART + "print('hello')\n")
    code, out, err = comity(
        "run",
        file,
        "--data",
        "heart",
        "--set",
        "train.optimizer.lr=0.01",
        "--set",
        "rounds=3",
        "--save",
        "out",
        "--json",
    )
    assert (code, err) == (0, "hello\n")
    found = strict(out)
    assert out.count("\n") == 1
    assert [each["number"] for each in found["rounds"]] == [1, 2, 3]
    assert set(found["rounds"][0]["sites"]) == {"Cleveland", "Hungary", "Switzerland", "VA"}
    assert found["table"][0]["method"] == "FedAvg"
    saved = strict((tmp_path / "out" / "experiment.json").read_text())
    assert saved["train"]["optimizer"] == {"type": "SGD", "lr": 0.01}
    assert strict((tmp_path / "out" / "metrics.json").read_text())["digest"] == found["digest"]


def test_run_prints_what_is_promised_of_privacy_and_warns_of_what_is_not(comity, write):
    private = HEART.replace(
        "    strategy=", "    privacy=[co.privacy.RecordDP(epsilon=5.0, delta=1e-3)],\n    strategy="
    )
    assert private != HEART
    code, out, err = comity("run", write(private), "--data", "heart")
    assert code == 0
    assert re.findall("^.*PrivacyWarning: RecordDP limits what is told of a record", err, re.MULTILINE) == [
        "comity: PrivacyWarning: RecordDP limits what is told of a record"
    ]
    assert re.search(r"^Cleveland: \(ε = \S+, δ = 0\.001\) for each record", out, re.MULTILINE)
    assert "with one record at each of them" in " ".join(out.split())


def test_run_prints_a_table_the_model_and_whose_data_it_is(comity, write):
    code, out, err = comity("run", write(HEART), "--data", "heart", "--baseline", "local", "--baseline", "pooled")
    assert (code, err) == (0, "")
    for name in ("Cleveland alone", "VA alone", "pooled", "FedAvg"):
        assert re.search(rf"^{name} .*0\.\d{{3}}", out, re.MULTILINE)
    assert re.search(r"^Model of round 2: sha256:[0-9a-f]{64}$", out, re.MULTILINE)
    assert "CC BY 4.0" in out


def test_run_of_an_analysis_prints_what_was_found_and_how_well_it_predicts(comity):
    code, out, _ = comity("run", str(EXAMPLES / "survival.py"))
    assert code == 0
    assert re.search(r"^age_at_index +0\.02\d +1\.02\d", out, re.MULTILINE)
    assert re.search(r"^CoxRegression +0\.\d{3} +0\.86\d$", out, re.MULTILINE)


def test_what_is_piped_is_not_broken_into_lines(comity):
    _, out, _ = comity("run", str(EXAMPLES / "survival.py"), COLUMNS="")
    assert re.search(r"^Cox regression, .*log partial likelihood -\d+\.\d+$", out, re.MULTILINE)
    assert re.search(r"^column +coefficient .*hazard ratio$", out, re.MULTILINE)
    assert not re.search(r" $", out.splitlines()[0])


def test_an_analysis_shows_its_small_p_values_and_whether_it_was_finished(comity, write):
    text = "import comity as co\nexperiment = co.Experiment(strategy=co.strategies.LogisticRegression(), rounds={})\n"
    _, out, _ = comity("run", write(text.format(50), name="enough.py"), "--data", "heart")
    assert re.search(r"^oldpeak .* 8\.121e-06( |$)", out, re.MULTILINE)
    assert "NOT FINISHED" not in out
    _, out, _ = comity("run", write(text.format(2), name="hurried.py"), "--data", "heart")
    assert "NOT FINISHED: give the experiment more rounds" in " ".join(out.split())


def test_run_takes_the_sites_of_the_file_and_gives_the_same_model_again(comity, write):
    file = write(HEART + "sites = co.data.heart()\n")
    first, second = comity("run", file, "--json"), comity("run", file, "--json", command=MODULE)
    assert strict(first[1])["digest"] == strict(second[1])["digest"]


def test_what_is_not_a_number_is_null(comity, write):
    text = HEART.replace("metrics=[", "metrics=[worst, ") + "sites = co.data.heart()\n"
    code, out, _ = comity("run", write("def worst(y, p):\n    return float('nan')\n" + text), "--json")
    assert code == 0
    assert strict(out)["rounds"][-1]["pooled"]["worst"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "hart"], "there is no data set 'hart'; did you mean 'heart'?"),
        (["--set", "train.optimiser.lr=1"], "there is no field of Train 'optimiser'; did you mean 'optimizer'?"),
        (["--set", "best=acuracy"], "there is no metric 'acuracy'; did you mean 'accuracy'?"),
        (["--set", "train.optimizer.lr"], "a setting is written path=value"),
        (["--baseline", "pooles"], "there is no baseline 'pooles'; did you mean 'pooled'?"),
        ([], "mine.py does not define `sites`; write `sites = ...` in it, or choose --data"),
    ],
)
def test_a_wrong_argument_of_run_is_told_in_a_sentence(comity, write, arguments, said):
    data = [] if not arguments or arguments[0] == "--data" else ["--data", "heart"]
    assert sentence(*comity("run", write(HEART), *data, *arguments)).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import comity as co\nexperiment = (\n", "mine.py:2: '(' was never closed"),
        ("x = 1\ny = x + z\n", "mine.py:2: NameError: name 'z' is not defined"),
        ("import nothing_of_this_name\n", "mine.py:1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("import sys\nsys.exit(3)\n", "mine.py:2: SystemExit: 3"),
        ("import comity as co\nco.FedAvgg()\n", "did you mean 'FedAvg'?"),
        ("import comity as co\nco.metrics.acuracy\n", "did you mean 'accuracy'?"),
        (
            HEART.replace("rounds=2", "rounds=0"),
            "mine.py:4: rounds must be a whole number of at least 1, not 0",
        ),
        (
            HEART.replace("rounds=2", "best='acuracy'"),
            "mine.py:4: there is no metric 'acuracy'; did you mean 'accuracy'?",
        ),
        ("x = 1\n", "mine.py does not define `experiment`; write `experiment = ...` in it"),
        ("experiment = 3\n", "`experiment` in mine.py is an int, not a co.Experiment"),
    ],
)
def test_a_broken_file_is_told_with_its_line(comity, write, text, said):
    assert said in sentence(*comity("run", write(text), "--data", "heart"))


BROKEN_MODEL = """
import comity as co
import network

experiment = co.Experiment(
    model=co.numpy.Model(network.init, network.gradient, network.predict),
    train=co.Train(optimizer=co.SGD(lr=0.1), steps=1),
    strategy=co.FedAvg(),
)
"""
NETWORK = """
import numpy as np

def init(generator):
    return {"w": np.zeros(13)}

def gradient(params, x, y):
    return {"w": x.T @ params["v"]}, 0.0

def predict(params, x):
    return x @ params["w"]
"""


def test_an_error_in_the_users_model_names_its_line_the_site_and_the_round(comity, write):
    write(NETWORK, name="network.py")
    said = sentence(*comity("run", write(BROKEN_MODEL), "--data", "heart"))
    assert said.endswith("network.py:8: KeyError: 'v' (at site 'Cleveland' in round 1)")


def test_debug_shows_the_traceback(comity, write):
    write(NETWORK, name="network.py")
    code, _, err = comity("run", write(BROKEN_MODEL), "--data", "heart", "--debug")
    assert code == 1
    assert "Traceback (most recent call last)" in err
    assert 'network.py", line 8' in err


def test_a_file_that_is_not_there_or_no_file(comity, write, tmp_path):
    write(HEART)
    assert sentence(*comity("run", "mime.py")) == "there is no file mime.py; did you mean mine.py?"
    assert sentence(*comity("run", ".")).startswith(". is a directory")
    (tmp_path / "data.txt").write_text("1")
    assert sentence(*comity("run", "data.txt")).startswith("data.txt is not a Python file")
    assert "rename the file" in sentence(*comity("run", write(HEART, name="json.py")))


def test_a_file_that_needs_torch_says_how_to_get_it(comity):
    file = str(EXAMPLES / "torch_heart" / "heart.py")
    said = sentence(*comity("run", file, "--data", "heart", without=["torch"]))
    assert "co.torch needs an extra: pip install 'comity[torch]'" in said or "No module named 'torch'" in said


def test_ctrl_c_ends_with_130_and_one_line(write, tmp_path):
    write("print('ready', flush=True)\nimport time\ntime.sleep(100)\n")
    with subprocess.Popen(
        [*COMITY, "run", "mine.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "comity: interrupted\n")


# ---- help


@pytest.mark.parametrize("command", [COMITY, MODULE], ids=["comity", "python -m comity"])
def test_version(comity, command):
    assert comity("--version", command=command) == (0, f"comity {version('comity')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--help"], ["demo", "run", "--version"]),
        ([], ["demo", "run"]),
        (
            ["demo", "--help"],
            ["heart", "survival", "two-hospitals", "drug-discovery", "privacy", "--save", "--json", "--debug"],
        ),
        (["run", "--help"], ["--data", "--set", "train.optimizer.lr=0.01", "--save", "--json", "--baseline"]),
    ],
)
def test_help_names_what_there_is(comity, arguments, named):
    _, out, err = comity(*arguments, COLUMNS="80")
    assert "Usage: comity" in out + err
    assert "no-debug" not in out
    for name in named:
        assert name in out + err
