"""An experiment placed on a network: names that are looked up, functions that are used again, and nothing left over."""

import hashlib
import json

import pytest

import comity as co
from comity.sdk import placing
from comity.sdk.placing import Conduct, place
from comity.values.errors import Forbidden, InvalidInput, NotSupported

KEY = "4a1bb84a-588a-596a-8d62-8fc93a622ea{}"
EXPERIMENT = co.Experiment(
    model=co.numpy.Linear(features=2, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=2, steps=2),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy],
)
ON = {"a": "heart", "b": "heart"}


def dataset(at, owner, name, withdrawn=None):
    return {"key": KEY.format(at), "owner": owner, "name": name, "withdrawn_date": withdrawn}


def archive(experiment, folder):
    (folder / "bundle.tar").write_bytes(b"the same bytes")
    return folder / "bundle.tar"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """News of a dataset are not waited for, and bundles are made elsewhere."""
    monkeypatch.setattr(placing, "ON_ITS_WAY", -1.0)
    monkeypatch.setattr(placing, "bundled", archive)


@pytest.fixture
def hospitals(canned):
    """a, b and c, of which a asks; a and b have a dataset `heart`."""
    canned.members("a", "b", "c")
    every = [dataset(1, "a", "heart"), dataset(2, "b", "heart"), dataset(3, "b", "lung")]
    canned.list("data_manager", *every, dataset(4, "b", "gone", withdrawn="2026-01-01"))
    for each in every:
        canned.say(f"/data_manager/{each['key']}/", {"data_sample_keys": [KEY.format(9)]})
    canned.list("function")
    canned.say("/function/", {"key": KEY.format(5)}, 201)
    canned.say("/compute_plan/", {"key": KEY.format(6)}, 201)
    return canned


def test_functions_and_plan_are_registered(hospitals):
    how = Conduct(aggregator="c", deadline=2, retries=3)
    assert place(hospitals.client, EXPERIMENT, {"b": "heart", "a": KEY.format(1)}, how) == KEY.format(6)
    forms = hospitals.uploaded("/function/")
    assert [value["name"] for value, _ in forms] == [
        f"FedAvg, {stage}" for stage in ("init", "local", "step", "evaluate", "finish")
    ]
    assert len({files[b"file"] for _, files in forms}) == 1, "of one archive"
    assert {json.dumps(value["permissions"]) for value, _ in forms} == {
        json.dumps({"public": False, "authorized_ids": ["b", "c"]})
    }
    (plan,) = hospitals.posted("/compute_plan/")
    assert plan["name"] == "FedAvg"
    growth = plan["growth"]
    assert (growth["aggregator"], growth["deadline"], growth["retries"]) == ("c", 2000, 3)
    assert growth["sites"] == {
        "a": {"dataset": KEY.format(1), "samples": [KEY.format(9)]},
        "b": {"dataset": KEY.format(2), "samples": [KEY.format(9)]},
    }


def known(hospitals, **change):
    """The functions as the node shows them once they are there."""
    place(hospitals.client, EXPERIMENT, ON, Conduct())
    made = []
    for value, files in hospitals.uploaded("/function/"):
        checksum = hashlib.sha256(files[b"file"]).hexdigest()
        made.append(
            {
                "key": KEY.format(len(made)),
                "owner": "a",
                "name": value["name"],
                "archive": {"checksum": checksum},
                "status": "FUNCTION_STATUS_READY",
                "permissions": {"process": {"public": False, "authorized_ids": ["a", "b"]}},
                "inputs": {
                    name: {"optional": False, "multiple": False, **each} for name, each in value["inputs"].items()
                },
                "outputs": {name: {"kind": each["kind"], "multiple": False} for name, each in value["outputs"].items()},
                **change,
            }
        )
    hospitals.node.requests.clear()
    hospitals.list("function", *made)
    return made


def test_functions_that_are_there_are_used_again(hospitals):
    made = known(hospitals)
    place(hospitals.client, EXPERIMENT, ON, Conduct())
    assert hospitals.asked("POST", "/function/") == []
    (plan,) = hospitals.posted("/compute_plan/")
    assert sorted(plan["growth"]["functions"].values()) == [each["key"] for each in made]


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "b"},
        {"status": "FUNCTION_STATUS_FAILED"},
        {"archive": {"checksum": "00"}},
        {"permissions": {"process": {"public": False, "authorized_ids": ["a"]}}},
        {"name": "FedAvg, other"},
        {"inputs": {}},
        {"outputs": {}},
    ],
    ids=lambda each: next(iter(each)),
)
def test_other_functions_are_not(hospitals, change):
    known(hospitals, **change)
    place(hospitals.client, EXPERIMENT, ON, Conduct())
    assert len(hospitals.asked("POST", "/function/")) == 5


def test_a_public_function_serves_everybody(hospitals):
    known(hospitals, permissions={"process": {"public": True, "authorized_ids": []}})
    place(hospitals.client, EXPERIMENT, ON, Conduct(aggregator="c"))
    assert hospitals.asked("POST", "/function/") == []


@pytest.mark.parametrize(
    ("on", "how", "said"),
    [
        ({}, {}, "say where it runs"),
        ({"z": "heart"}, {}, "no organization 'z'"),
        ({"a": "hearts"}, {}, r"no dataset at a 'hearts'; did you mean 'heart'\?"),
        ({"b": "gone"}, {}, r"no dataset at b 'gone'.*known: heart, lung"),
        ({"c": "heart"}, {}, r"no dataset at c 'heart' \(known: none\)"),
        ({"a": KEY.format(2)}, {}, "no dataset at a"),
        ({"a": "heart"}, {"aggregator": "z"}, "no organization 'z'"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_registered(hospitals, on, how, said):
    with pytest.raises(InvalidInput, match=said):
        place(hospitals.client, EXPERIMENT, on, Conduct(**how))
    assert all(method == "GET" for method, *_ in hospitals.node.requests)


def test_a_name_that_means_several_is_refused(hospitals):
    hospitals.list("data_manager", dataset(1, "a", "heart"), dataset(2, "a", "heart"))
    with pytest.raises(InvalidInput, match="2 datasets at a are called 'heart'; give a key"):
        place(hospitals.client, EXPERIMENT, {"a": "heart"}, Conduct())


def test_a_dataset_without_samples_is_refused(hospitals):
    hospitals.say(f"/data_manager/{KEY.format(1)}/", {"data_sample_keys": []})
    with pytest.raises(InvalidInput, match="the dataset 'heart' at a has no data samples yet"):
        place(hospitals.client, EXPERIMENT, ON, Conduct())


def test_a_dataset_that_is_on_its_way_is_waited_for(hospitals, monkeypatch):
    monkeypatch.setattr(placing, "ON_ITS_WAY", 60.0)
    monkeypatch.setattr(placing.time, "sleep", lambda _: hospitals.list("data_manager", dataset(1, "a", "heart")))
    hospitals.list("data_manager")
    assert place(hospitals.client, EXPERIMENT, {"a": "heart"}, Conduct()) == KEY.format(6)


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (co.Experiment(model=EXPERIMENT.model, train=EXPERIMENT.train, strategy=co.FedAvg(), quorum=3), InvalidInput),
        (
            co.Experiment(model=EXPERIMENT.model, train=EXPERIMENT.train, strategy=co.FedAvg(sites_per_round=3)),
            InvalidInput,
        ),
        (
            co.Experiment(
                model=EXPERIMENT.model, train=EXPERIMENT.train, strategy=co.FedAvg(), metrics=[lambda y, p: 0.0]
            ),
            NotSupported,
        ),
    ],
    ids=["quorum", "sampling", "lambda"],
)
def test_what_no_network_can_run_is_said_before_anything_is_registered(hospitals, made, kind):
    with pytest.raises(kind):
        place(hospitals.client, made, ON, Conduct())
    assert all(method == "GET" for method, *_ in hospitals.node.requests)


def test_what_the_node_refuses_is_said(hospitals):
    hospitals.say("/compute_plan/", {"detail": "OE0102: a may not use the dataset"}, 403)
    with pytest.raises(Forbidden, match="a may not use the dataset"):
        place(hospitals.client, EXPERIMENT, ON, Conduct())


@pytest.mark.parametrize(
    "given", [{"deadline": 0}, {"deadline": -1.0}, {"deadline": float("nan")}, {"retries": -1}, {"retries": 1.5}]
)
def test_how_it_is_conducted_has_bounds(given):
    with pytest.raises(InvalidInput, match=next(iter(given))):
        Conduct(**given)
