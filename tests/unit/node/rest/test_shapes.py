"""Every answer has what Substra's stock client requires, of the kinds that its models have (release 1.0.0)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from comity.domain.events import Redacted
from comity.domain.records import Plan

FILE = {"checksum": str, "storage_address": str}
PERMISSION = {"public": bool, "authorized_ids": [str]}
PERMISSIONS = {"process": PERMISSION, "download": PERMISSION}

FUNCTION = {
    "key": str,
    "name": str,
    "owner": str,
    "permissions": PERMISSIONS,
    "metadata": dict,
    "creation_date": datetime,
    "inputs": dict,
    "outputs": dict,
    "status": str,
    "description": FILE,
    "archive": FILE,
}
DATASET = {
    "key": str,
    "name": str,
    "owner": str,
    "permissions": PERMISSIONS,
    "opener": FILE,
    "description": FILE,
    "metadata": dict,
    "creation_date": datetime,
    "logs_permission": PERMISSION,
    "withdrawn_date": (datetime, None),
    "data_sample_keys": [str],
}
SAMPLE = {"key": str, "owner": str, "creation_date": datetime, "data_manager_keys": [str]}
COUNTS = ("task", "done", "waiting_builder_slot", "building", "waiting_parent_tasks", "waiting_executor_slot")
PLAN = {
    "key": str,
    "tag": str,
    "name": str,
    "owner": str,
    "metadata": dict,
    "status": str,
    "creation_date": datetime,
    "start_date": (datetime, None),
    "end_date": (datetime, None),
    "estimated_end_date": (datetime, None),
    "duration": int,
    "failed_task_key": (str, None),
    "creator": str,
    **{f"{each}_count": int for each in (*COUNTS, "executing", "canceled", "failed")},
}
TASK = {
    "key": str,
    "function": FUNCTION,
    "owner": str,
    "compute_plan_key": str,
    "metadata": dict,
    "status": str,
    "worker": str,
    "tag": str,
    "rank": int,
    "creation_date": datetime,
    "start_date": (datetime, None),
    "end_date": (datetime, None),
    "error_type": (str, None),
    "duration": int,
    "logs_permission": PERMISSION,
    "inputs": [
        {
            "identifier": str,
            "asset_key": (str, None),
            "parent_task_key": (str, None),
            "parent_task_output_identifier": (str, None),
        }
    ],
    "outputs": dict,
    "required": bool,
    "stage": (str, None),
    "round": (int, None),
    "waiting_for": (str, None),
    "ruled": (dict, None),
    "refused": (str, None),
}
MODEL = {
    "key": str,
    "compute_task_key": str,
    "permissions": PERMISSIONS,
    "owner": str,
    "creation_date": datetime,
    "address": (FILE, None),
}
PERFORMANCE = {
    "channel": str,
    "compute_task_key": str,
    "compute_task_output_identifier": str,
    "performance_value": float,
    "creation_date": datetime,
}
ORGANIZATION = {"id": str, "address": str, "creation_date": datetime, "is_current": bool}
INFO = {
    "host": str,
    "organization_id": str,
    "organization_name": str,
    "config": {"model_export_enabled": bool},
    "auth": dict,
    "channel": str,
    "version": str,
    "orchestrator_version": str,
    "user": str,
    "user_role": str,
}
PERF = {
    "compute_task": {"key": str, "function_key": str, "rank": int, "round_idx": (str, None), "worker": str},
    "identifier": str,
    "perf": float,
}


def check(value: Any, shape: Any, at: str = "") -> None:
    """These fields, all of them and no other."""
    match shape:
        case tuple():
            if value is not None:
                check(value, shape[0], at)
        case list():
            assert isinstance(value, list), at
            for each in value:
                check(each, shape[0], at)
        case dict():
            assert set(value) == set(shape), at
            for name, each in shape.items():
                check(value[name], each, f"{at}.{name}")
        case type() if shape is datetime:
            assert datetime.fromisoformat(value).tzinfo is not None, at
        case _:
            assert type(value) is shape, (at, value)


@pytest.fixture
def ran(network):
    """A plan of two tasks on a's data: one that leaves a model at a, one that measures it at b."""
    dataset = network.dataset(metadata={"disease": "heart"})
    network.sample(dataset["key"])
    train = network.function(
        inputs={
            "opener": {"kind": "ASSET_DATA_MANAGER", "multiple": False, "optional": False},
            "datasamples": {"kind": "ASSET_DATA_SAMPLE", "multiple": True, "optional": False},
        }
    )
    test = network.function(
        inputs={"model": {"kind": "ASSET_MODEL", "multiple": False, "optional": False}},
        outputs={"auc": {"kind": "ASSET_PERFORMANCE", "multiple": False}},
    )
    for each in (train, test):
        network.build(each["key"])
    plan = network.plan(tag="t", metadata={"m": "1"})
    samples = network.client().get(f"/data_manager/{dataset['key']}/").json["data_sample_keys"]
    taken = [
        {"identifier": "opener", "asset_key": dataset["key"]},
        {"identifier": "datasamples", "asset_key": samples[0]},
    ]
    first = network.task(plan["key"], train["key"], inputs=taken)
    parent = {"identifier": "model", "parent_task_key": first["key"], "parent_task_output_identifier": "model"}
    outputs = {"auc": {"permissions": network.PUBLIC, "transient": False}}
    second = network.task(plan["key"], test["key"], "b", inputs=[parent], outputs=outputs, metadata={"round_idx": "3"})
    network.add(second, first)  # clients need not put parents first
    network.run(first["key"])
    network.run(second["key"], performance="0.75")
    return {"plan": plan["key"], "first": first["key"], "second": second["key"]}


@pytest.mark.parametrize(
    ("noun", "shape", "count"),
    [
        ("data_manager", DATASET, 1),
        ("data_sample", SAMPLE, 1),
        ("function", FUNCTION, 3),  # sum/1 among them
        ("compute_plan", PLAN, 1),
        ("task", TASK, 2),
        ("model", MODEL, 1),
    ],
)
def test_what_is_listed_is_what_is_shown(network, ran, noun, shape, count):
    for place in network.places.values():
        page = place.client().get(f"/{noun}/").json
        assert (page["count"], page["next"], page["previous"]) == (count, None, None)
        check(page["results"], [shape], noun)
        for each in page["results"]:
            assert place.client().get(f"/{noun}/{each['key']}/").json == each


def test_inputs_and_outputs(network, ran):
    client = network.client("b")
    taken = client.get(f"/task/{ran['first']}/input_assets/").json["results"]
    assert [(each["identifier"], each["kind"]) for each in taken] == [
        ("opener", "ASSET_DATA_MANAGER"),
        ("datasamples", "ASSET_DATA_SAMPLE"),
    ]
    check(taken[0]["asset"], DATASET)
    check(taken[1]["asset"], SAMPLE)
    (left,) = client.get(f"/task/{ran['first']}/output_assets/").json["results"]
    check(left, {"identifier": str, "kind": str, "asset": MODEL})
    assert client.get(f"/task/{ran['second']}/input_assets/").json["results"] == [left]
    (measured,) = client.get(f"/task/{ran['second']}/output_assets/", identifier="auc").json["results"]
    check(measured, {"identifier": str, "kind": str, "asset": PERFORMANCE})
    assert measured["asset"]["performance_value"] == 0.75
    assert client.get(f"/task/{ran['second']}/output_assets/", identifier="loss").json["count"] == 0


def test_performances(network, ran):
    found = network.client("b").get(f"/compute_plan/{ran['plan']}/perf/").json
    check(found["results"], [PERF])
    (only,) = found["results"]
    assert only["compute_task"] | {"function_key": "f"} == {
        "key": ran["second"],
        "function_key": "f",
        "rank": 1,
        "round_idx": "3",
        "worker": "b",
    }
    assert (only["identifier"], only["perf"]) == ("auc", 0.75)
    assert found["compute_plan_statistics"] == {
        "compute_tasks_distinct_ranks": [0, 1],
        "compute_tasks_distinct_rounds": ["3"],
    }


def test_the_node_and_its_network(network):
    check(network.client().get("/info/").json, INFO)
    unknown = {name: INFO[name] for name in ("host", "organization_id", "organization_name", "config", "auth")}
    check(network.places["a"].anyone.get("/info/").json, unknown)
    members = network.client("b").get("/organization/").json
    check(members, [ORGANIZATION])
    assert [(each["id"], each["is_current"]) for each in members] == [("a", False), ("b", True)]


def test_what_was_redacted(network):
    plan = network.plan(tag="for Ms Smith", metadata={"patient": "Smith"}, name="Smith")
    held = network.places["a"].read(Plan, plan["key"])
    network.write("a", Redacted(texts=(held.name, held.tag_text, held.metadata)))
    shown = network.client("b").get(f"/compute_plan/{plan['key']}/").json
    check(shown, PLAN)
    assert (shown["name"], shown["tag"], shown["metadata"]) == ("(redacted)", "(redacted)", {})
    assert network.client("b").get("/compute_plan/", match="Smith").json["count"] == 0


def test_a_failure_has_a_type_at_once(network):
    function, plan = network.function(), network.plan()
    network.build(function["key"])
    (task,) = network.add(network.task(plan["key"], function["key"]))
    network.fail(task["key"])
    shown = network.client("b").get(f"/task/{task['key']}/").json
    assert (shown["status"], shown["error_type"]) == ("STATUS_FAILED", "EXECUTION_ERROR")
    shown = network.client("b").get(f"/compute_plan/{plan['key']}/").json
    assert (shown["status"], shown["failed_task_key"]) == ("PLAN_STATUS_FAILED", task["key"])
    assert (shown["failed_count"], shown["task_count"]) == (1, 1)


def test_who_created_a_plan_is_known_at_its_own_node_only(network):
    plan = network.plan()
    assert network.client("a").get(f"/compute_plan/{plan['key']}/").json["creator"] == "admin-main"
    assert network.client("b").get(f"/compute_plan/{plan['key']}/").json["creator"] == "external"


def test_a_task_says_that_it_waits_for_a_steward(network):
    function, plan = network.function(), network.plan()
    tasks = network.add(
        network.task(plan["key"], function["key"], "a"), network.task(plan["key"], function["key"], "b")
    )
    assert [each["waiting_for"] for each in tasks] == [None, "approval by b"]
    network.build(function["key"])
    assert {each["waiting_for"] for each in network.client().get("/task/").json["results"]} == {None}
