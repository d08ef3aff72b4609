"""Experiments on a network from the command line: begun, watched, compared, and what failed."""

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import comity as co
from comity.faces.cli.main import app
from comity.faces.cli.run import sites_of
from comity.faces.comparing import compared, flattened
from comity.faces.watching import lines, watching
from comity.sdk import placing
from comity.sdk.site_data import _opener
from comity.values import codec
from comity.values.errors import ComityError, Conflict, InvalidInput, NotFound, RoundFailed
from comity.values.rows import Rows

KEY = "4a1bb84a-588a-596a-8d62-8fc93a622ea8"
FILE = """
import comity as co

experiment = co.Experiment(
    model=co.numpy.Linear(features=2, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=2, steps=2),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy],
)
"""


def experiment(lr=0.1, rounds=1, metrics=(co.metrics.accuracy,)):
    return co.Experiment(
        model=co.numpy.Linear(features=2, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=lr), batch_size=2, steps=2),
        strategy=co.FedAvg(),
        metrics=list(metrics),
        rounds=rounds,
    )


def part(site, **more):
    return {
        "task": f"t{site}",
        "site": site,
        "status": "STATUS_DONE",
        "attempts": 1,
        "included": True,
        "size": 600,
        "refused": None,
        **more,
    }


def round_of(number, *parts, pooled=0.5, **more):
    made = {
        "number": number,
        "closed": True,
        "parts": list(parts) or [part("a"), part("b")],
        "state": f"s{number}",
        "start_date": "2026-01-01T00:00:00Z",
        "end_date": "2026-01-01T00:00:01Z",
        "sum": None,
        "scores": None,
        "pooled": None if pooled is None else {"accuracy": pooled},
        "sites": {},
    }
    return {**made, **more}


def shown(*rounds, made=None, **more):
    answer = {
        "key": KEY,
        "name": "heart",
        "status": "PLAN_STATUS_DONE",
        "version": 3,
        "experiment": (made or experiment()).to_json(),
        "organizations": ["a", "b"],
        "aggregator": "a",
        "planned": 1,
        "datasets": {},
        "continues": None,
        "waiting_for": [],
        "failed": [],
        "rounds": list(rounds) or [round_of(1)],
    }
    return {**answer, **more}


# What is compared.


def test_experiments_are_compared_by_what_differs_and_what_came_out():
    first = shown(round_of(1, pooled=0.5), round_of(2, pooled=None, state=None), made=experiment(rounds=2))
    second = shown(round_of(1, pooled=0.75), made=experiment(lr=0.5), key="k2", status="PLAN_STATUS_DOING")
    table = compared([first, second])
    assert table.title == "2 experiments"
    assert list(table.columns) == [
        *("experiment", "key", "status", "rounds done", "sites"),
        *("rounds", "train.optimizer.lr", "accuracy, all test rows"),
    ]
    assert [list(row) for row in table.rows] == [
        ["heart", KEY, "done", 2, "a, b", "2", "0.1", 0.5],
        ["heart", "k2", "doing", 1, "a, b", "1", "0.5", 0.75],
    ]


def test_what_has_not_begun_or_was_not_measured_is_compared_too():
    nothing = shown(key="k2", rounds=[], made=experiment(metrics=[co.metrics.auc]))
    unmeasured = shown(round_of(1, pooled=None, state=None, end_date=None))
    table = compared([nothing, unmeasured, shown(round_of(1, pooled=None, pooled_=None))])
    assert [row[3] for row in table.rows] == [0, 0, 1]
    assert "accuracy, all test rows" not in table.columns


def test_the_same_experiment_twice_differs_in_nothing():
    assert len(compared([shown(), shown()]).columns) == 6


@pytest.mark.parametrize(
    ("value", "flat"),
    [
        ({"a": {"b": 1}}, {"a.b": "1"}),
        ({"a": [1, {"b": None}]}, {"a.0": "1", "a.1.b": "None"}),
        ({"a": [], "b": {}}, {"a": "[]", "b": "{}"}),
        ({"type": "Experiment", "s": {"type": "x.FedAvg", "n": 1}}, {"s": "FedAvg", "s.n": "1"}),
        ({"m": [{"type": "auc"}, {"type": "f1", "at": 0.3}]}, {"m": "auc, f1", "m.f1.at": "0.3"}),
        ({"m": [{"type": "f1", "at": 0.5}, {"type": "f1", "at": 1}]}, {"m": "f1, f1", "m.0.at": "0.5", "m.1.at": "1"}),
        ({}, {"": "{}"}),
    ],
)
def test_settings_are_named_by_their_paths(value, flat):
    assert dict(flattened(value)) == flat


# What is said while it runs.


def test_who_was_not_there_is_said():
    late = part("b", included=False, status="STATUS_CANCELED")
    failed = part("c", included=False, status="STATUS_FAILED")
    refused = part("d", included=False, status="STATUS_FAILED", refused="no rule of d allows it")
    open_ = round_of(2, part("a", included=False, status="STATUS_EXECUTING"), closed=False)
    assert list(lines(shown(round_of(1, part("a"), late, failed, refused), open_, waiting_for=["approval by d"]))) == [
        "waiting for approval by d",
        "round 1 goes on without b, which was not there in time",
        "round 1 goes on without c, which failed",
        "round 1 goes on without d, whose policy refuses it: no rule of d allows it",
    ]


@pytest.mark.parametrize("bar", [False, True])
def test_each_thing_is_said_once(capsys, bar):
    with watching(bar) as observe:
        observe(shown(waiting_for=["approval by [bold]d"]))
        observe(shown(waiting_for=["approval by [bold]d"]))
        observe(shown(rounds=[], waiting_for=["approval by e"]))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("waiting for approval by [bold]d") == 1, "and it is text, no markup"
    assert said.err.count("waiting for approval by e") == 1


# Commands.


@pytest.mark.parametrize(
    ("given", "sites"),
    [
        ("a:heart", {"a": "heart"}),
        (" a:heart , b:lung ", {"a": "heart", "b": "lung"}),
        ("a:with:colon", {"a": "with:colon"}),
        (f"a:{KEY}", {"a": KEY}),
    ],
)
def test_sites_are_organizations_with_a_dataset(given, sites):
    assert sites_of(given) == sites


@pytest.mark.parametrize("given", ["a", "a:", ":heart", "a:heart,", ",", "", "a:heart b"])
def test_sites_without_one_are_refused(given):
    if given == "a:heart b":
        assert sites_of(given) == {"a": "heart b"}, "names may hold blanks"
        return
    with pytest.raises(InvalidInput, match="--on takes ORGANIZATION:DATASET with commas between"):
        sites_of(given)


def test_an_organization_takes_part_once():
    with pytest.raises(InvalidInput, match="names a twice"):
        sites_of("a:heart,a:lung")


@pytest.fixture
def comity(node, monkeypatch, tmp_path):
    """Run a command against the node of canned answers, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        environment = {"COMITY_NODE": node.url, "COMITY_TOKEN": "t0", "COLUMNS": "200"}
        done = CliRunner().invoke(app, arguments, env=environment)
        if isinstance(done.exception, ComityError):
            raise done.exception
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return run


@pytest.fixture
def says(node):
    def say(path, value, status=200):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        node.answers[path] = (status, {}, body)

    return say


def listed(says, noun, *found):
    says(f"/{noun}/?page=1&page_size=1000", {"results": list(found), "next": None})


@pytest.fixture
def plans(says):
    """Two experiments, by name and key."""
    listed(says, "compute_plan", {"key": KEY, "name": "heart"}, {"key": "k2", "name": "lung"})
    says(f"/compute_plan/{KEY}/rounds/", shown())
    says("/compute_plan/k2/rounds/", shown(round_of(1, pooled=0.25), made=experiment(lr=0.5), key="k2", name="lung"))
    says(f"/compute_plan/{KEY}/rounds/?after=-1&wait=20000", shown())


def test_plans_are_compared_by_name_or_key(comity, plans):
    told = json.loads(comity("plan", "compare", "heart", "k2", "--json").stdout)
    assert [each["key"] for each in told] == [KEY, "k2"]
    printed = comity("plan", "compare", "heart", "lung").stdout
    assert all(each in printed for each in ("train.optimizer.lr", "0.500", "0.250", "lung"))


def test_what_is_no_experiment_is_not_compared(comity, plans, says):
    says("/compute_plan/k2/rounds/", {"detail": "the plan k2 is no experiment: it has no rounds"}, 400)
    with pytest.raises(InvalidInput, match="is no experiment"):
        comity("plan", "compare", "heart", "lung")
    with pytest.raises(NotFound, match="there is no plan 'liver'"):
        comity("plan", "compare", "heart", "liver")


def test_a_plan_is_watched_until_it_is_over(comity, plans, says):
    late = part("b", included=False, status="STATUS_CANCELED")
    over = shown(round_of(1, part("a"), late), round_of(2, pooled=None), status="PLAN_STATUS_CANCELED")
    says(f"/compute_plan/{KEY}/rounds/?after=-1&wait=20000", shown(rounds=[], status="PLAN_STATUS_DOING", version=2))
    says(f"/compute_plan/{KEY}/rounds/?after=2&wait=20000", over)
    assert json.loads(comity("plan", "watch", "heart", "--json").stdout) == over
    done = comity("plan", "watch", KEY)
    assert "round 1 goes on without b, which was not there in time" in done.stderr
    assert all(each in done.stdout for each in ("canceled", "accuracy 0.500", "a, b", "1.2 kB"))


def test_a_figure_that_is_none_is_a_dash(comity, plans, says):
    says(f"/compute_plan/{KEY}/rounds/?after=-1&wait=20000", shown(round_of(1, pooled=None, pooled_=1)))
    over = shown(round_of(1, **{"pooled": 0.5}))
    over["rounds"][0]["pooled"] = {"accuracy": None}
    says(f"/compute_plan/{KEY}/rounds/?after=-1&wait=20000", over)
    assert "accuracy –" in comity("plan", "watch", "heart").stdout


def test_a_watched_run_is_saved(comity, plans, says, tmp_path):
    params = {"weight": np.ones(2), "bias": np.zeros(())}
    says("/model/s1/file/", codec.encode({"state": {"params": params}}))
    address = {"checksum": codec.digest({}).removeprefix("sha256:"), "storage_address": ""}
    memory = {"identifier": "memory", "asset": {"key": "m", "address": address}}
    for site in "ab":
        says(f"/task/t{site}/output_assets/", {"results": [memory]})
    comity("plan", "watch", "heart", "--save", "report")
    assert codec.digest(codec.decode((tmp_path / "report" / "model.safetensors").read_bytes())) == codec.digest(params)


def test_a_watched_run_that_failed_is_not_saved(comity, plans, says, tmp_path):
    says(f"/compute_plan/{KEY}/rounds/?after=-1&wait=20000", shown(status="PLAN_STATUS_FAILED", failed=["t1"]))
    failed = {
        "key": "t1",
        "worker": "b",
        "stage": "local",
        "round": 1,
        "error_type": "EXECUTION_ERROR",
        "refused": None,
    }
    says("/task/t1/", failed)
    says("/task/t1/logs/", b"ValueError: the unit is missing\n")
    with pytest.raises(RoundFailed, match=r"local of round 1 at b: EXECUTION_ERROR: ValueError: the unit is missing"):
        comity("plan", "watch", "heart", "--save", "report")
    assert not (tmp_path / "report").exists() or not list((tmp_path / "report").iterdir())


def task(key, **more):
    made = {
        "key": key,
        "tag": "",
        "stage": "local",
        "round": 2,
        "required": False,
        "worker": "b",
        "status": "STATUS_FAILED",
    }
    return {**made, **more}


def test_logs_of_what_failed_are_shown(comity, plans, says):
    tasks = [
        task("t1"),
        task("t2", stage="sum", required=True, worker="a"),
        task("t3", status="STATUS_DONE"),
        task("t4", stage=None, round=None, tag="mean"),
    ]
    query = f"/task/?compute_plan_key={KEY}&ordering=rank&page=1&page_size=1000"
    says(query, {"results": tasks, "next": None})
    says(f"/task/?key={KEY}&page=1&page_size=1000", {"results": [], "next": None})
    says("/task/t1/logs/", b"no scanner\n")
    says("/task/t2/logs/", {"detail": "a may not read it"}, 403)
    says("/task/t4/logs/", {"detail": "it lies at b"}, 501)
    told = json.loads(comity("plan", "logs", "heart", "--json").stdout)["logs"]
    assert told == {"t1": "no scanner\n", "t2": "(a may not read it)\n", "t4": "(it lies at b)\n"}
    printed = comity("plan", "logs", KEY).stdout
    assert [line for line in printed.splitlines() if " at " in line and line.endswith(":")] == [
        "round2.local.b t1 at b:",
        "round2.sum t2 at a:",
        "mean t4 at b:",
    ]
    says(query, {"results": [tasks[2]], "next": None})
    assert comity("plan", "logs", "heart").stdout == "Nothing of heart has failed.\n"


def test_the_log_of_one_task_is_shown(comity, says):
    says(f"/task/?key={KEY}&page=1&page_size=1000", {"results": [{"key": KEY}], "next": None})
    says(f"/task/{KEY}/logs/", b"line\x1b[2J\n")
    assert json.loads(comity("plan", "logs", KEY, "--json").stdout) == {"task": KEY, "log": "line\x1b[2J\n"}
    assert "\x1b" not in comity("plan", "logs", KEY).stdout


# comity run --on


def archive(experiment, folder):
    (folder / "bundle.tar").write_bytes(b"the same bytes")
    return folder / "bundle.tar"


@pytest.fixture
def file(tmp_path, monkeypatch, says):
    """A file with an experiment, beside a network of a and b that have a dataset `heart`."""
    monkeypatch.setattr(placing, "ON_ITS_WAY", -1.0)
    monkeypatch.setattr(placing, "bundled", archive)
    says("/organization/", [{"id": name, "is_current": name == "a"} for name in "ab"])
    every = [
        {"key": f"{KEY[:-1]}{at}", "owner": name, "name": "heart", "withdrawn_date": None}
        for at, name in enumerate("ab")
    ]
    listed(says, "data_manager", *every)
    listed(says, "function")
    rows = Rows(np.zeros((3, 2)), np.zeros(3))
    for each in every:
        says(f"/data_manager/{each['key']}/", {"data_sample_keys": [KEY]})
        says(f"/data_manager/{each['key']}/opener/", _opener({"train": rows, "test": rows}).encode())
    says("/function/", {"key": KEY}, 201)
    says("/compute_plan/", {"key": KEY}, 201)
    (tmp_path / "mine_for_a_network.py").write_text(FILE)
    yield "mine_for_a_network.py"
    sys.modules.pop("mine_for_a_network", None)


ON = ("--on", "a:heart,b:heart")


def test_an_experiment_is_begun_and_left_to_the_network(node, comity, file):
    told = comity("run", file, *ON, "--detach", "--json", "--name", "tuned", "--retries", "2", "--set", "rounds=4")
    assert json.loads(told.stdout) == {"plan": KEY}
    (sent,) = [
        json.loads(body) for method, path, _, body in node.requests if (method, path) == ("POST", "/compute_plan/")
    ]
    assert (sent["name"], sent["growth"]["rounds"], sent["growth"]["retries"]) == ("tuned", 4, 2)
    assert set(sent["growth"]["sites"]) == {"a", "b"}


def test_an_experiment_is_waited_for(comity, file, says):
    says(f"/compute_plan/{KEY}/rounds/?after=-1&wait=20000", shown())
    says("/model/s1/file/", codec.encode({"state": {"params": {"weight": np.ones(2), "bias": np.zeros(())}}}))
    told = json.loads(comity("run", file, *ON, "--json").stdout)
    assert (told["round"], told["engine"]["plan"]) == (1, KEY)


def test_a_rehearsal_sends_nothing(node, comity, file):
    assert json.loads(comity("run", file, *ON, "--dry-run", "--json").stdout)["round"] == 1
    assert {method for method, *_ in node.requests} == {"GET"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*ON, "--data", "heart"), "--data and --baseline are for simulations"),
        ((*ON, "--baseline", "local"), "--data and --baseline are for simulations"),
        ((*ON, "--dry-run", "--detach"), "give --dry-run or --detach, not both"),
        ((*ON, "--detach", "--save", "report"), "--save needs the run"),
        ((*ON, "--deadline", "0"), "deadline must be a number above 0"),
        ((*ON, "--retries", "-1"), "retries must be a whole number"),
        (("--on", "a"), "ORGANIZATION:DATASET"),
        (("--on", "z:heart"), "no organization 'z'"),
        (("--dry-run",), "--dry-run is for networks; say on which data with --on"),
        (("--detach",), "--detach is for networks"),
        (("--start", KEY), "--start is for networks"),
        (("--aggregator", "a"), "--aggregator is for networks"),
        (("--name", "x"), "--name is for networks"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_options_that_do_not_go_together_are_refused(node, comity, file, tmp_path, options, said):
    with pytest.raises(InvalidInput, match=said):
        comity("run", file, *options)
    assert all(method == "GET" for method, *_ in node.requests)
    assert not (tmp_path / "report").exists()


def test_what_the_node_refuses_is_said(comity, file, says):
    says("/compute_plan/", {"detail": "there is a plan"}, 409)
    with pytest.raises((Conflict, InvalidInput), match="there is a plan"):
        comity("run", file, *ON, "--detach")
