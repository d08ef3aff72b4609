"""A run that is killed, as often as it likes, ends as if nothing had happened."""

import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest

import comity as co
from comity.values import codec
from comity.values.errors import DecodeError, InvalidInput

STORY = '''
"""Says a word for every site it loads, waits for the answer, and says in the end what came out."""

import json
import sys
from pathlib import Path

import numpy as np

import comity as co
from comity.values import codec

BEST = {"best": "log_loss", "stop": co.EarlyStopping("log_loss", patience=4)}
SAMPLED = {"sites_per_round": 4}
EXPERIMENTS = {
    "momentum": (co.FedAvg(server_momentum=0.9), {}, None),
    "memory": (co.Scaffold(**SAMPLED), {}, co.Dropout(probability=0.3)),
    "best": (co.strategies.Ditto(**SAMPLED), BEST, None),
}


def site(name):
    generator = np.random.default_rng(ord(name))
    x = generator.normal(size=(30, 3))
    y = (x[:, 0] + generator.normal(size=30) > 0).astype(float)
    return co.Site(name, (x[:20], y[:20]), (x[20:], y[20:]))


def run(kind, folder, load=site, rounds=40, **how):
    strategy, more, dropout = EXPERIMENTS[kind]
    experiment = co.Experiment(
        model=co.numpy.Linear(3, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=0.03), batch_size=5, steps=4),
        strategy=strategy,
        metrics=[co.metrics.log_loss],
        rounds=rounds,
        seed=7,
        **more,
    )
    sites = {name: lambda name=name: load(name) for name in "abcdef"}
    return co.simulate(experiment, sites, checkpoint=folder, dropout=dropout, progress=False, **how)


def outcome(run):
    rounds = [{**each.document(), "seconds": 0} for each in run.history]
    memories = [codec.digest(run.memory(name)) for name in run.sites]
    return json.loads(json.dumps([run.digest, run.round, rounds, memories]))


def aloud(name):
    print("loading", name, flush=True)
    sys.stdin.readline()
    return site(name)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    done = run(sys.argv[1], folder, aloud, resume=(folder / "checkpoint").exists())
    print("done", json.dumps(outcome(done)), flush=True)
'''


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("story") / "story.py"
    path.write_text(STORY)
    return path


@pytest.fixture(scope="module")
def told(story: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "story"}
    exec(compile(story.read_text(), story, "exec"), names)
    return names


def killed(story: Path, kind: str, folder: Path, words: int, by: signal.Signals) -> Any:
    """What the run said in the end; None when it was killed while it went on after so many words."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, story, kind, folder], **pipes, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        for said, line in enumerate(child.stdout, start=1):
            word, _, rest = line.partition(" ")
            if word == "done":
                return json.loads(rest)
            child.stdin.write("go on\n")
            child.stdin.flush()
            if said == words:
                child.send_signal(by)
                break
        error = child.stderr.read()
    assert by == signal.SIGKILL or error.rstrip().endswith("KeyboardInterrupt"), error
    assert child.returncode != 0
    return None


@pytest.mark.parametrize("kind", ["momentum", "memory", "best"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(story, told, tmp_path, kind, by):
    moments = random.Random(f"{kind} {by}")
    uninterrupted = told["outcome"](told["run"](kind, None))
    for _ in range(3):
        # A whole run takes more words than that.
        assert killed(story, kind, tmp_path, moments.randint(1, 50), by) is None
    assert killed(story, kind, tmp_path, 10**6, by) == uninterrupted


def test_the_experiment_says_what_the_stories_hold(told):
    runs = {kind: told["run"](kind, None) for kind in told["EXPERIMENTS"]}
    assert runs["best"].round < len(runs["best"].history) < 40, "it stops early and keeps an earlier round"
    assert any(each.missing for each in runs["memory"].history)
    assert all(runs["memory"].memory(name) for name in "abcdef")


# What may be resumed


def test_a_finished_run_can_be_extended(told, tmp_path):
    told["run"]("memory", tmp_path, rounds=5)
    extended = told["run"]("memory", tmp_path, rounds=9, resume=True)
    assert told["outcome"](extended) == told["outcome"](told["run"]("memory", None, rounds=9))


@pytest.mark.parametrize("kind", ["momentum", "memory", "best"])
def test_a_finished_run_comes_back_without_any_work(told, tmp_path, kind):
    first = told["run"](kind, tmp_path)

    def never(name):
        raise AssertionError("nothing is left to do")

    again = told["run"](kind, tmp_path, never, resume=True)
    assert told["outcome"](again) == told["outcome"](first)


def test_fewer_rounds_than_were_done_are_what_was_done(told, tmp_path):
    first = told["run"]("momentum", tmp_path, rounds=5)
    assert told["run"]("momentum", tmp_path, rounds=3, resume=True).digest == first.digest


def test_a_run_killed_in_its_first_round_is_taken_up(told, tmp_path):
    def failing(name):
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        told["run"]("memory", tmp_path, failing)
    run = told["run"]("memory", tmp_path, resume=True)
    assert told["outcome"](run) == told["outcome"](told["run"]("memory", None))


def test_what_another_run_left_in_the_directory_is_not_remembered(told, tmp_path):
    told["run"]("best", tmp_path, rounds=3)
    (tmp_path / "checkpoint").unlink()
    run = told["run"]("memory", tmp_path)
    assert told["outcome"](run) == told["outcome"](told["run"]("memory", None))


def test_what_a_lost_round_left_is_not_remembered(tmp_path):
    scaffold = replace(BASE, strategy=co.Scaffold(), metrics=(), rounds=4)
    generator = np.random.default_rng(1)
    sites = [co.Site(name, (generator.normal(size=(5, 3)), generator.normal(size=5))) for name in "abc"]
    calls = 0

    def failing():
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionError("gone in the second round, after a and b")
        return sites[2]

    with pytest.raises(ConnectionError):
        co.simulate(scaffold, {"a": lambda: sites[0], "b": lambda: sites[1], "c": failing}, checkpoint=tmp_path)
    away = co.Dropout(schedule={2: ["a"], 3: ["a"]})
    run = co.simulate(scaffold, sites, dropout=away, checkpoint=tmp_path, resume=True)
    assert run.digest == co.simulate(scaffold, sites, dropout=away).digest


SITE = co.Site("A", (np.eye(3), np.zeros(3)), (np.eye(3), np.zeros(3)))
BASE = co.Experiment(
    model=co.numpy.Linear(3),
    train=co.Train(optimizer=co.SGD(lr=0.2), steps=1),
    strategy=co.FedAvg(),
    metrics=[co.metrics.r2],
    rounds=2,
)


def _nothing(y, prediction):
    return 0.0


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"strategy": co.FedAvg(server_lr=0.5)},
        {"train": co.Train(optimizer=co.SGD(lr=0.1), steps=1)},
        {"metrics": ()},
        {"best": "r2"},
        {"metrics": [co.metrics.Mean(_nothing)]},
    ],
    ids=["seed", "strategy", "train", "no metric", "best", "another metric"],
)
def test_another_experiment_is_refused(tmp_path, other):
    co.simulate(BASE, [SITE], checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match=r"the checkpoint is of another experiment; only `rounds` may differ"):
        co.simulate(replace(BASE, **other), [SITE], checkpoint=tmp_path, resume=True)


def test_other_sites_are_refused(tmp_path):
    co.simulate(BASE, [SITE], checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match="the checkpoint was made with other sites"):
        co.simulate(BASE, [SITE, replace(SITE, name="B")], checkpoint=tmp_path, resume=True)


def test_other_rows_are_refused(tmp_path):
    co.simulate(BASE, [SITE], checkpoint=tmp_path)
    other = co.Site("A", (np.eye(3), np.ones(3)), SITE.test)
    with pytest.raises(InvalidInput, match="the checkpoint was made with other rows at these sites"):
        co.simulate(BASE, [other], checkpoint=tmp_path, resume=True)


def test_other_columns_are_refused_also_where_sites_are_loaded(tmp_path):
    def loader(*names):
        return {"A": lambda: co.Site("A", co.Rows(np.eye(3), np.zeros(3), names), SITE.test)}

    run = co.simulate(BASE, loader("a", "b", "c"), checkpoint=tmp_path)
    assert run.columns == ("a", "b", "c")
    assert co.simulate(BASE, loader("a", "b", "c"), checkpoint=tmp_path, resume=True).columns == run.columns
    with pytest.raises(InvalidInput, match=r"the rows the run was begun with and of site 'A' differ.*'b' and 'c'"):
        co.simulate(replace(BASE, rounds=4), loader("a", "c", "b"), checkpoint=tmp_path, resume=True)


def test_a_run_does_not_go_on_without_its_memories(tmp_path):
    scaffold = replace(BASE, strategy=co.Scaffold())
    co.simulate(scaffold, [SITE], checkpoint=tmp_path)
    rmtree(tmp_path / "memories")
    with pytest.raises(DecodeError, match="the memory of site 'A' is gone from beside the checkpoint; begin anew"):
        co.simulate(replace(scaffold, rounds=4), [SITE], checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("before", "how", "sentence"),
    [
        (False, {"resume": True}, "resume=True needs checkpoint=DIRECTORY, where the run was kept"),
        (False, {"resume": True, "checkpoint": ""}, "holds no run to go on with; leave resume=True out to begin one"),
        (True, {"checkpoint": ""}, "holds a run already; give resume=True to go on with it, or another directory"),
    ],
)
def test_resuming_by_mistake_is_refused(tmp_path, before, how, sentence):
    if before:
        co.simulate(BASE, [SITE], checkpoint=tmp_path)
    if "checkpoint" in how:
        how = {**how, "checkpoint": tmp_path}
    with pytest.raises(InvalidInput) as caught:
        co.simulate(BASE, [SITE], **how)
    assert sentence in str(caught.value)


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InvalidInput, match="taken is a file; give a directory for the checkpoint"):
        co.simulate(BASE, [SITE], checkpoint=tmp_path / "taken")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    co.simulate(BASE, [SITE], checkpoint=tmp_path)
    path = tmp_path / "checkpoint"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DecodeError, match=r"is damaged or is none; delete .* to begin anew"):
        co.simulate(BASE, [SITE], checkpoint=tmp_path, resume=True)


def test_experiments_that_no_document_can_hold_are_resumed_too(tmp_path):
    nameless = replace(BASE, metrics=[lambda y, p: 0.5], rounds=1)
    co.simulate(nameless, [SITE], checkpoint=tmp_path)
    run = co.simulate(replace(nameless, rounds=4), [SITE], checkpoint=tmp_path, resume=True)
    assert run.digest == co.simulate(replace(nameless, rounds=4), [SITE]).digest


def test_states_of_analytics_are_resumed_too(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 2))
    y = np.stack([generator.exponential(size=40), np.ones(40)], axis=1)
    cox = co.Experiment(strategy=co.strategies.CoxRegression(l2=0.1), rounds=2)
    sites = [co.Site("A", (x[:20], y[:20])), co.Site("B", (x[20:], y[20:]))]
    co.simulate(cox, sites, checkpoint=tmp_path)
    run = co.simulate(replace(cox, rounds=20), sites, checkpoint=tmp_path, resume=True)
    whole = co.simulate(replace(cox, rounds=20), sites)
    assert run.digest == whole.digest
    assert len(run.history) == len(whole.history) < 20


def test_baselines_are_run_beside_a_resumed_run(tmp_path):
    co.simulate(BASE, [SITE], checkpoint=tmp_path)
    run = co.simulate(replace(BASE, rounds=4), [SITE], checkpoint=tmp_path, resume=True, baselines=["local"])
    assert len(run.baselines["A"].history) == 4
    assert codec.digest(run.baselines["A"].model) == run.digest
