"""Parameters to start from, brought to a network; and a rehearsal before anything is."""

import io
import tarfile

import numpy as np
import pytest

import comity as co
from comity.sdk import placing, starting
from comity.sdk.network import Network
from comity.sdk.rehearsing import rehearse
from comity.sdk.site_data import _opener
from comity.sdk.starting import start_from
from comity.values import codec
from comity.values.errors import Conflict, DecodeError, InvalidInput, NotFound, NotSupported
from comity.values.rows import Rows

KEY = "4a1bb84a-588a-596a-8d62-8fc93a622ea8"
TREE = {"weight": np.array([1.0, 2.0]), "bias": np.array(0.5)}
HEART = co.Experiment(
    model=co.numpy.Linear(features=2, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=2, steps=2),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy],
    rounds=9,
    best="accuracy",
)


@pytest.fixture
def ready(canned, monkeypatch):
    """A node at which a task that brings a model ends like this, after so many looks."""

    def say(*statuses):
        monkeypatch.setattr(starting.uuid, "uuid4", lambda: KEY)
        canned.say("/function/", {"key": "f1"}, 201)
        canned.say("/compute_plan/", {"key": KEY}, 201)
        canned.say("/task/bulk_create/", [], 201)
        canned.say(f"/task/{KEY}/output_assets/", {"results": [{"asset": {"key": "m1"}}]})
        left = list(statuses)

        def look(_=0):
            canned.say(f"/task/{KEY}/", {"status": f"STATUS_{left.pop(0)}"})

        look()
        monkeypatch.setattr(starting.time, "sleep", look)
        return canned.client

    return say


@pytest.mark.parametrize("given", ["", {}])
def test_nothing_to_start_from_is_nothing(canned, given):
    assert start_from(canned.client, given, at="a", to="b") == ""
    assert canned.node.requests == []


def test_the_key_of_a_model_is_taken_as_it_is(canned):
    assert start_from(canned.client, KEY, at="a", to="b") == KEY
    assert canned.node.requests == []


@pytest.fixture
def given(tmp_path):
    """Parameters in each form that a user may have them in, and what they are."""

    def make(form):
        if form == "a tree":
            return TREE, TREE
        if form == "a report":
            rows = (np.eye(2), np.array([0.0, 1.0]))
            run = co.simulate(HEART, [co.Site("a", train=rows, test=rows)])
            return str(run.save(tmp_path / "report")), run.model
        path = tmp_path / "m.safetensors"
        path.write_bytes(codec.encode(TREE))
        return path if form == "a file" else str(path), TREE

    return make


@pytest.mark.parametrize("form", ["a tree", "a file", "a file's name", "a report"])
def test_parameters_come_as_what_a_task_leaves(ready, canned, given, form):
    value, tree = given(form)
    client = ready("WAITING_FOR_EXECUTOR_SLOT", "EXECUTING", "DONE")
    assert start_from(client, value, at="a", to="b") == "m1"
    ((function, files),) = canned.uploaded("/function/")
    assert function["outputs"] == {"model": {"kind": "ASSET_MODEL", "form": "tree"}}
    with tarfile.open(fileobj=io.BytesIO(files[b"file"])) as packed:
        held = packed.extractfile("model.safetensors").read()
    assert codec.digest(codec.decode(held)) == codec.digest(tree)
    (sent,) = canned.posted("/task/bulk_create/")
    (task,) = sent["tasks"]
    assert (task["worker"], task["function_key"]) == ("a", "f1")
    assert task["outputs"] == {"model": {"permissions": {"public": False, "authorized_ids": ["b"]}}}


def test_the_code_that_brings_a_model_does(tmp_path):
    (tmp_path / "start.py").write_text(starting.CODE)
    (tmp_path / "model.safetensors").write_bytes(codec.encode(TREE))
    held = {"__file__": str(tmp_path / "start.py")}
    exec(starting.CODE, held)
    held["give"]({}, {"model": str(tmp_path / "out")}, {})
    assert (tmp_path / "out").read_bytes() == codec.encode(TREE)


@pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
def test_a_model_that_is_not_taken_is_said(ready, status):
    with pytest.raises(Conflict, match=f"see why with: comity plan logs {KEY}"):
        start_from(ready("EXECUTING", status), TREE, at="a", to="b")


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [("nowhere", InvalidInput, "there is no model at nowhere"), ("junk", DecodeError, "header")],
)
def test_what_is_no_model_is_not_sent(canned, tmp_path, monkeypatch, given, kind, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk").write_bytes(b"not a model")
    with pytest.raises(kind, match=said):
        start_from(canned.client, given, at="a", to="b")
    assert canned.node.requests == []


# Rehearsals


@pytest.fixture
def hospitals(canned, monkeypatch):
    """a and b, each with a dataset `heart`; gives how to change an opener."""
    monkeypatch.setattr(placing, "ON_ITS_WAY", -1.0)
    canned.members("a", "b")
    every = [{"key": f"d{name}", "owner": name, "name": "heart", "withdrawn_date": None} for name in "ab"]
    canned.list("data_manager", *every)
    rows = Rows(np.zeros((3, 2)), np.zeros(3), ("age", "sex"))

    def opener(name, text):
        canned.say(f"/data_manager/d{name}/opener/", text.encode())

    for name in "ab":
        canned.say(f"/data_manager/d{name}/", {"data_sample_keys": ["s"]})
        opener(name, _opener({"train": rows, "test": rows}))
    return opener


ON = {"a": "heart", "b": "heart"}


def test_a_rehearsal_is_one_round_and_sends_nothing(canned, hospitals):
    run = rehearse(canned.client, HEART, ON)
    assert (len(run.history), list(run.sites), list(run.columns)) == (1, ["a", "b"], ["age", "sex"])
    assert run.history[0].pooled is not None
    assert {method for method, *_ in canned.node.requests} == {"GET"}


@pytest.mark.parametrize(
    ("opener", "said"),
    [
        (
            "class Rows:\n    def get_data(self, f): ...\n    def fake_data(self, n): raise KeyError('age')",
            "makes no rows: 'age'",
        ),
        ("def broken(:", "makes no rows"),
        ("x = 1", "exactly one class with get_data and fake_data"),
        (
            "class Rows:\n    def get_data(self, f): ...\n    def fake_data(self, n): return {'rows': 1}",
            "'train' and 'test'",
        ),
    ],
)
def test_an_opener_that_makes_no_rows_is_named(canned, hospitals, opener, said):
    hospitals("b", opener)
    with pytest.raises(InvalidInput, match=f"the opener of 'heart' at b.*{said}"):
        rehearse(canned.client, HEART, ON)


def test_what_a_network_would_refuse_is_refused_in_a_rehearsal(canned, hospitals):
    several = co.Experiment(strategy=co.strategies.SharedTrunk(trunk=("weight",)), model=HEART.model, train=HEART.train)
    with pytest.raises(NotSupported, match="sums many times within a round"):
        rehearse(canned.client, several, ON)
    with pytest.raises(InvalidInput, match="say where it runs"):
        rehearse(canned.client, HEART, {})


# The network itself


def test_a_network_is_seen_through_a_node(canned, hospitals):
    network = Network(canned.client)
    assert network.organizations == ["a", "b"]
    canned.list(
        "data_manager",
        {"key": "d1", "owner": "a", "name": "heart", "withdrawn_date": None},
        {"key": "d2", "owner": "a", "name": "old", "withdrawn_date": "2026-01-01"},
    )
    assert network.datasets() == [("a", "heart", "d1")]
    assert network.url == canned.node.url
    with pytest.raises(InvalidInput, match="no node of this program's 'b'"):
        network.at("b")
    with pytest.raises(InvalidInput, match=r"must be a co\.Experiment, not 'heart'"):
        network.run("heart", ON)


def test_what_is_no_experiment_is_not_taken_up(canned):
    canned.say(f"/compute_plan/{KEY}/rounds/", {"detail": "there is no plan"}, 404)
    with pytest.raises(NotFound, match="there is no plan"):
        Network(canned.client).attach(KEY)


def test_a_network_of_this_program_ends_with_it(canned):
    ended = []
    inner = Network(canned.client, end=lambda: ended.append("inner"))
    with Network(canned.client, nodes={"b": inner}, end=lambda: ended.append("outer")) as network:
        assert network.at("b") is inner
    assert ended == ["inner", "outer"]
