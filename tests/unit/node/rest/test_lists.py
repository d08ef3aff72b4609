"""Pages, orders and filters of lists."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comity.domain.sums import SUM
from comity.node.rest.filters import DATASETS, FUNCTIONS, MODELS, PLANS, SAMPLES, TASKS

# What the stock client of release 1.0.0 sends for each filter that it allows.
STOCK = [
    (FUNCTIONS, "key match owner permissions compute_plan_key dataset_key data_sample_key"),
    (DATASETS, "key match owner permissions compute_plan_key function_key data_sample_key"),
    (SAMPLES, "key owner compute_plan_key function_key dataset_key"),
    (MODELS, "key compute_task_key owner permissions"),
    (TASKS, "key owner worker rank status metadata compute_plan_key function_key"),
    (PLANS, "key match owner worker status metadata function_key dataset_key data_sample_key"),
]


def names(reply: Any) -> list[str]:
    assert reply.status == 200, reply.body
    return [each["name"] for each in reply.json["results"]]


def keys(reply: Any) -> set[str]:
    assert reply.status == 200, reply.body
    assert reply.json["count"] == len(reply.json["results"])
    return {each["key"] for each in reply.json["results"]} - {SUM}


@pytest.mark.parametrize(("listing", "sent"), STOCK, ids=lambda each: getattr(each, "kind", type(each)).__name__)
def test_every_filter_of_the_stock_client_is_known(listing, sent):
    assert {*sent.split(), "ordering"} <= set(listing.parameters)


@pytest.mark.parametrize(
    ("path", "value", "near"),
    [
        ("/task/", "STATUS_DONE,done", "STATUS_DONE"),
        ("/task/", "DONE", "STATUS_DONE"),
        ("/compute_plan/", "PLAN_STATUS_CANCELLED", "PLAN_STATUS_CANCELED"),
        ("/function/", "FUNCTION_STATUS_REDY", "FUNCTION_STATUS_READY"),
    ],
)
def test_a_status_that_there_is_not(network, path, value, near):
    reply = network.client("b").get(path, status=value)
    assert reply.status == 400
    assert f"there is no status {value.split(',')[-1]!r}" in reply.json["detail"]
    assert near in reply.json["detail"]


@pytest.mark.parametrize(("path", "prefix"), [("/task/", ""), ("/compute_plan/", "PLAN_"), ("/function/", "FUNCTION_")])
def test_statuses_of_the_stock_client(network, path, prefix):
    """It knows one more than there are."""
    for each in ("UNKNOWN", "DONE" if path != "/function/" else "READY"):
        assert network.client("b").get(path, status=f"{prefix}STATUS_{each}").status == 200


def test_pages_of_plans(network):
    made = [network.plan(name=f"plan {number}")["name"] for number in range(23)]
    client = network.client("b")
    first = client.get("/compute_plan/", ordering="-creation_date")
    assert (first.json["count"], first.json["previous"]) == (23, None)
    assert names(first) == made[:12:-1]
    # The stock client follows `next` and appends its own parameters once more.
    second = client.get(first.json["next"] + "&ordering=-creation_date")
    assert names(second) == made[12:2:-1]
    assert second.json["next"].count("ordering") == 1
    assert names(client.get(second.json["previous"])) == names(first)
    third = client.get(second.json["next"])
    assert names(third) == made[2::-1]
    assert third.json["next"] is None
    assert first.json["next"].startswith("http://node.example/compute_plan/?")
    assert names(client.get("/compute_plan/", page_size=100, ordering="creation_date")) == made
    assert client.get("/compute_plan/", page_size=100_000).json["count"] == 23
    filtered = client.get("/compute_plan/", match="plan", page_size=20, page=2)
    assert (filtered.json["count"], len(filtered.json["results"])) == (23, 3)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"page": "2"}, 404),
        ({"page": "0"}, 400),
        ({"page": "x"}, 400),
        ({"page": "-1"}, 400),
        ({"page": "9" * 30}, 400),
        ({"page_size": "0"}, 400),
        ({"ordering": "size"}, 400),
        ({"ordering": "metadata"}, 400),
        ({"ordering": "--creation_date"}, 400),
        ({"metadata": "x"}, 400),
        ({"metadata": '[{"key": "a", "type": "was"}]'}, 400),
        ({"creation_date_after": "yesterday"}, 400),
        ({"duration_min": "long"}, 400),
        ({"onwer": "a"}, 400),
        ({"owner": "a\x00"}, 400),
    ],
)
def test_what_cannot_be_asked(network, query, status):
    network.plan()
    reply = network.client().get("/compute_plan/", **query)
    assert reply.status == status, reply.body
    if "onwer" in query:
        assert "did you mean 'owner'?" in reply.json["detail"]


def test_an_order_that_a_noun_has_not(network):
    assert network.client().get("/function/", ordering="start_date").status == 400
    assert network.client().get("/task/", ordering="rank").status == 200


def test_plans_are_ordered_by_what_they_show(network):
    for name, site, tag in (("b", "2", "x"), ("c", "1", "x"), ("a", "3", "y")):
        network.plan(name=name, tag=tag, metadata={"site": site})
    network.plan(name="d")
    client = network.client()
    for ordering, found in (
        ("name", "abcd"),
        ("-name", "dcba"),
        ("metadata__site", "dcba"),
        ("-metadata__site", "abcd"),
        ("tag", "dcba"),
        ("creator", "dacb"),  # of the same, the latest first
        ("status", "dacb"),
        ("duration", "dacb"),
    ):
        assert "".join(names(client.get("/compute_plan/", ordering=ordering))) == found, ordering
    first = client.get("/compute_plan/", ordering="name", page_size=3)
    assert names(first) + names(client.get(first.json["next"])) == ["a", "b", "c", "d"]
    assert client.get("/function/", ordering="name").status == 400


def test_plans_are_found(network):
    one = network.plan(name="Heart study", tag="x", metadata={"site": "north wing"})["key"]
    two = network.plan(name="Lung", tag="y")["key"]
    get = network.client().get
    assert keys(get("/compute_plan/", match="heart STUDY")) == {one}
    assert keys(get("/compute_plan/", match=one[:8])) == {one}
    assert keys(get("/compute_plan/", name="Lung,Heart")) == {two}
    assert keys(get("/compute_plan/", key=f"{one},{two}")) == {one, two}
    assert keys(get("/compute_plan/", tag="y")) == {two}
    assert keys(get("/compute_plan/", status="PLAN_STATUS_CREATED")) == {one, two}
    assert keys(get("/compute_plan/", status="PLAN_STATUS_DONE")) == set()
    assert keys(get("/compute_plan/", creator="admin-main")) == {one, two}
    assert keys(get("/compute_plan/", owner="b")) == set()
    assert keys(get("/compute_plan/", creation_date_after="2030-01-01")) == set()
    assert keys(get("/compute_plan/", creation_date_before="2030-01-01T00:00:00Z")) == {one, two}
    assert keys(get("/compute_plan/", start_date_before="2030-01-01T00:00:00Z")) == set()
    assert keys(get("/compute_plan/", duration_min=1)) == set()
    assert keys(get("/compute_plan/", duration_max=0)) == {one, two}
    for kind, value, found in (
        ("is", "north wing", {one}),
        ("is", "north", set()),
        ("contains", "thw", {one}),  # as the stock client sends "th w"
        ("exists", "", {one}),
    ):
        asked = json.dumps([{"key": "site", "type": kind, "value": value}]).replace(" ", "")
        assert keys(get("/compute_plan/", metadata=asked)) == found


@pytest.fixture
def study(network):
    """A plan of a's with two tasks of one function on b's data, and one of another function without data."""
    dataset, other = network.dataset("b", network.PUBLIC)["key"], network.dataset("a", network.private())["key"]
    sample, spare = network.sample(dataset, "b"), network.sample(dataset, "b")
    inputs = {
        "opener": {"kind": "ASSET_DATA_MANAGER", "multiple": False, "optional": False},
        "datasamples": {"kind": "ASSET_DATA_SAMPLE", "multiple": True, "optional": False},
    }
    train, merge = network.function(inputs=inputs)["key"], network.function(permissions=network.private())["key"]
    for function in (train, merge):
        network.build(function)
    plan, empty = network.plan()["key"], network.plan()["key"]
    taken = [{"identifier": "opener", "asset_key": dataset}, {"identifier": "datasamples", "asset_key": sample}]
    tasks = [network.task(plan, train, "b", inputs=taken, tag="train") for _ in range(2)]
    parents = [
        {"identifier": "models", "parent_task_key": each["key"], "parent_task_output_identifier": "model"}
        for each in tasks
    ]
    tasks.append(network.task(plan, merge, "a", inputs=parents, metadata={"round_idx": "1"}))
    made = [each["key"] for each in network.add(*tasks)]
    model = network.run(made[0])
    return {
        "datasets": (dataset, other),
        "samples": (sample, spare),
        "functions": (train, merge),
        "plans": (plan, empty),
        "tasks": made,
        "model": model,
    }


def test_things_are_found_by_what_they_belong_to(network, study):
    get = network.client().get
    dataset, other = study["datasets"]
    sample, spare = study["samples"]
    train, merge = study["functions"]
    plan, empty = study["plans"]
    for query, found in (
        ({"compute_plan_key": plan}, {train, merge}),
        ({"compute_plan_key": empty}, set()),
        ({"dataset_key": dataset}, {train}),
        ({"data_sample_key": sample}, {train}),
        ({"data_sample_key": spare}, set()),
        ({"permissions": "b"}, {train}),
        ({"can_process": "a"}, {train, merge}),
        ({"status": "FUNCTION_STATUS_READY", "key": merge}, {merge}),
    ):
        assert keys(get("/function/", **query)) == found, query
    for query, found in (
        ({"compute_plan_key": plan}, {dataset}),
        ({"function_key": train}, {dataset}),
        ({"function_key": merge}, set()),
        ({"data_sample_key": spare}, {dataset}),
        ({"permissions": "b"}, {dataset}),
        ({"can_access_logs": "a"}, {other}),
        ({"owner": "a,b"}, {dataset, other}),
    ):
        assert keys(get("/data_manager/", **query)) == found, query
    for query, found in (
        ({"dataset_key": dataset}, {sample, spare}),
        ({"dataset_key": other}, set()),
        ({"compute_plan_key": plan}, {sample}),
        ({"function_key": train}, {sample}),
    ):
        assert keys(get("/data_sample/", **query)) == found, query
    for query, found in (
        ({"worker": "b"}, {plan}),
        ({"function_key": train}, {plan}),
        ({"dataset_key": dataset}, {plan}),
        ({"data_sample_key": sample}, {plan}),
        ({"data_sample_key": spare}, set()),
        ({"status": "PLAN_STATUS_DOING"}, {plan}),
    ):
        assert keys(get("/compute_plan/", **query)) == found, query


def test_tasks_and_models_are_found(network, study):
    get = network.client("b").get
    first, second, third = study["tasks"]
    plan, empty = study["plans"]
    for query, found in (
        ({"compute_plan_key": plan}, {first, second, third}),
        ({"compute_plan_key": empty}, set()),
        ({"compute_plan_key": plan, "worker": "b", "rank": "0"}, {first, second}),
        ({"rank": "1,2"}, {third}),
        ({"status": "STATUS_DONE,STATUS_FAILED"}, {first}),
        ({"function_key": study["functions"][1]}, {third}),
        ({"tag": "train"}, {first, second}),
        ({"metadata": '[{"key":"round_idx","type":"is","value":"1"}]'}, {third}),
        ({"match": first[:13]}, {first}),
        ({"end_date_after": "2020-01-01"}, {first}),
        ({"owner": "b"}, set()),
    ):
        assert keys(get("/task/", **query)) == found, query
    for query, found in (
        ({"compute_task_key": first}, {study["model"]}),
        ({"compute_task_key": second}, set()),
        ({"permissions": "a"}, {study["model"]}),
        ({"owner": "b"}, {study["model"]}),
        ({"match": "zzz"}, set()),
    ):
        assert keys(get("/model/", **query)) == found, query
