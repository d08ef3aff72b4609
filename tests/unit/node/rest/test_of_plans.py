"""What is told of whole plans: their graph, what they measured, how long it took, and that it happened."""

from __future__ import annotations

import csv
import io
import uuid

import pytest

from comity.domain.events import FunctionBuilding, FunctionFailed, FunctionReady
from comity.domain.records import Plan
from comity.node.rest import workflow
from comity.node.rest.profiling import STEPS

MODELS = {"models": {"kind": "ASSET_MODEL", "multiple": True, "optional": True}}


def after(parent):
    return {"identifier": "models", "parent_task_key": parent, "parent_task_output_identifier": "model"}


@pytest.fixture
def study(network):
    """A plan of a's: a task at a, one at b on its model, and one that measures what both left, which is done."""
    train = network.function(name="train")["key"]
    test = network.function(name="test", inputs=MODELS, outputs={"auc": {"kind": "ASSET_PERFORMANCE"}})["key"]
    for function in (train, test):
        network.build(function)
    plan = network.plan(name="Heart", tag="t", metadata={"site": "north", "k": "=1+1"})["key"]
    first = network.task(plan, train)
    second = network.task(plan, train, "b", inputs=[after(first["key"])], metadata={"round_idx": "1"})
    taken = [after(each["key"]) for each in (first, second)]
    outputs = {"auc": {"permissions": network.PUBLIC}}
    third = network.task(plan, test, "b", inputs=taken, outputs=outputs, metadata={"round_idx": "2"})
    keys = [each["key"] for each in network.add(first, second, third)]
    for key in keys:
        network.run(key, performance="0.75")
    return {"plan": plan, "tasks": keys, "functions": (train, test)}


# The graph


def test_a_graph_names_every_task_and_what_joins_them(network, study):
    first, second, third = study["tasks"]
    graph = network.client("b").get(f"/compute_plan/{study['plan']}/workflow_graph/").json
    assert [each["key"] for each in graph["tasks"]] == [first, second, third]
    assert graph["tasks"][2] == {
        "key": third,
        "rank": 2,
        "function_name": "test",
        "worker": "b",
        "status": "STATUS_DONE",
        "inputs_specs": [{"identifier": "models", "kind": "ASSET_MODEL"}],
        "outputs_specs": [{"identifier": "auc", "kind": "ASSET_PERFORMANCE"}],
    }
    joined = [(each["source_task_key"], each["target_task_key"]) for each in graph["edges"]]
    assert joined == [(first, second), (first, third), (second, third)]
    assert {(each["source_output_identifier"], each["target_input_identifier"]) for each in graph["edges"]} == {
        ("model", "models")
    }


def test_a_graph_that_is_too_large(network, study, monkeypatch):
    path = f"/compute_plan/{study['plan']}/workflow_graph/"
    monkeypatch.setattr(workflow, "MOST", 3)
    assert network.client().get(path).status == 200
    monkeypatch.setattr(workflow, "MOST", 2)
    reply = network.client().get(path)
    assert reply.status == 403
    assert "Cannot build workflow graph for more than 2 tasks" in reply.json["detail"]


# Lists within a plan


def test_tasks_and_functions_of_a_plan(network, study):
    network.add(network.task(network.plan()["key"], study["functions"][0]))
    get, plan = network.client("b").get, study["plan"]
    page = get(f"/compute_plan/{plan}/task/", ordering="rank", page_size=2).json
    assert ([each["key"] for each in page["results"]], page["count"]) == (study["tasks"][:2], 3)
    assert page["next"] == f"http://node.example/compute_plan/{plan}/task/?ordering=rank&page_size=2&page=2"
    assert [each["key"] for each in get(page["next"]).json["results"]] == study["tasks"][2:]
    assert get(f"/compute_plan/{plan}/task/", worker="a").json["count"] == 1
    # the key of the path counts, whatever the query says
    assert get(f"/compute_plan/{plan}/task/", compute_plan_key="x").json["count"] == 3
    found = get(f"/compute_plan/{plan}/functions/").json["results"]
    assert {each["key"] for each in found} == set(study["functions"])
    for noun in ("task", "functions", "workflow_graph"):
        assert get(f"/compute_plan/{uuid.uuid4()}/{noun}/").status == 404


# Metadata


def test_keys_of_metadata(network, study):
    network.plan(metadata={"site": "south", "arm": "b"})
    assert network.client("b").get("/compute_plan_metadata/").json == ["arm", "k", "site"]


# What was measured


def test_what_all_plans_measured(network, study):
    network.plan(name="Lung")
    page = network.client("b").get("/performance/").json
    shown = network.client("b").get(f"/compute_plan/{study['plan']}/").json
    assert (page["count"], page["next"]) == (1, None)
    assert page["results"] == [
        {
            "compute_plan_key": study["plan"],
            "compute_plan_name": "Heart",
            "compute_plan_tag": "t",
            "compute_plan_status": "PLAN_STATUS_DONE",
            "compute_plan_start_date": shown["start_date"],
            "compute_plan_end_date": shown["end_date"],
            "compute_plan_metadata": {"site": "north", "k": "=1+1"},
            "identifier": "auc",
            "worker": "b",
            "task_rank": 2,
            "task_round": 2,
            "performance": 0.75,
        }
    ]
    get = network.client().get
    assert get("/performance/", match="lung").json["count"] == 0
    assert get("/performance/", key=study["plan"], status="PLAN_STATUS_DONE").json["count"] == 1
    assert get("/performance/", plan=study["plan"]).status == 400


def test_a_table_for_spreadsheets(network, study):
    reply = network.client().get("/performance/export/", metadata_columns="k,site,none", key=study["plan"])
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.headers["content-disposition"] == 'attachment; filename="compute_plans.csv"'
    header, row = csv.reader(io.StringIO(reply.body.decode()))
    assert header == [
        *("compute_plan_key", "compute_plan_name", "compute_plan_tag", "compute_plan_status"),
        *("compute_plan_start_date", "compute_plan_end_date", "k", "site", "none"),
        *("identifier", "worker", "task_rank", "task_round", "performance"),
    ]
    # no formula: whoever named a plan must not compute in the reader's spreadsheet
    assert row[6:] == ["'=1+1", "north", "", "auc", "b", "2", "2", "0.75"]
    assert row[:4] == [study["plan"], "Heart", "t", "PLAN_STATUS_DONE"]
    none = network.client().get("/performance/export/", match="nothing of that kind")
    assert len(none.body.decode().splitlines()) == 1
    assert network.client().get("/performance/export/", page=1).status == 400


# How long it took


def test_how_long_the_steps_of_a_task_took(network, study):
    (task,) = network.add(
        network.task(network.plan()["key"], study["functions"][0], outputs=None)
        | {"outputs": {"model": {"permissions": network.PUBLIC}}}
    )
    waiting = network.client("b").get(f"/task_profiling/{task['key']}/").json
    assert waiting == {"compute_task_key": task["key"], "task_duration": None, "execution_rundown": []}
    network.run(
        task["key"], durations={"save_outputs": 4, "task_execution": 3, "prepare_inputs": 2, "download_function": 1}
    )
    shown = network.client("b").get(f"/task_profiling/{task['key']}/").json
    assert shown["task_duration"] == 10  # its start and end stand in one entry
    assert [each["step"] for each in shown["execution_rundown"]] == list(STEPS)
    assert [each["duration"] for each in shown["execution_rundown"]] == [1, 2, 3, 4]
    listed = network.client().get("/task_profiling/", compute_task_key=task["key"]).json
    assert listed["results"] == [shown]
    assert network.client().get("/task_profiling/").json["count"] == 4


def test_how_long_a_build_took(network):
    function = network.function()["key"]
    path = f"/function/{function}/profiling/"
    assert network.client("b").get(path).json == {"function_key": function, "duration": None, "execution_rundown": []}
    durations = {"save_function": 5, "build_image": 7}
    network.write("a", FunctionBuilding(key=function), FunctionReady(key=function, durations=durations))
    assert network.client("b").get(path).json == {
        "function_key": function,
        "duration": 12,
        "execution_rundown": [{"step": "build_image", "duration": 7}, {"step": "save_function", "duration": 5}],
    }


# That it happened


def statuses(reply):
    assert reply.status == 200, reply.body
    return [(each["asset_kind"], each["status"]) for each in reply.json["results"]]


def test_the_news_of_a_plan(network, study):
    network.dataset("b")
    get = network.client("b").get
    news = statuses(get("/news_feed/"))
    plan = [status for kind, status in news if kind == "ASSET_COMPUTE_PLAN"]
    assert plan == ["STATUS_DONE", "STATUS_DOING", "STATUS_CREATED"]
    assert news[0] == ("ASSET_DATA_MANAGER", "STATUS_CREATED")
    assert news.count(("ASSET_FUNCTION", "STATUS_CREATED")) == 2
    assert statuses(get("/news_feed/", ordering="timestamp")) == news[::-1]
    (important,) = get("/news_feed/", important_news_only="true").json["results"]
    ended = get(f"/compute_plan/{study['plan']}/").json["end_date"]
    assert important == {
        "asset_kind": "ASSET_COMPUTE_PLAN",
        "asset_key": study["plan"],
        "name": "Heart",
        "status": "STATUS_DONE",
        "timestamp": ended,
        "detail": {},
    }
    assert statuses(get("/news_feed/", timestamp_after=ended))[1:] == [("ASSET_COMPUTE_PLAN", "STATUS_DONE")]
    assert ("ASSET_COMPUTE_PLAN", "STATUS_DONE") not in statuses(get("/news_feed/", timestamp_before=ended))
    assert get("/news_feed/", page_size=2).json["next"]
    for query in ({"important_news_only": "perhaps"}, {"ordering": "name"}, {"timestamp_after": "soon"}, {"x": "1"}):
        assert get("/news_feed/", **query).status == 400, query


def test_the_news_of_what_went_wrong(network, study):
    plan, other = network.plan()["key"], network.plan()["key"]
    (task,) = network.add(network.task(plan, study["functions"][0]))
    network.fail(task["key"])
    network.client().post(f"/compute_plan/{other}/cancel/")
    found = network.client("b").get("/news_feed/", important_news_only="true").json["results"]
    assert [(each["asset_key"], each["status"], each["detail"]) for each in found[:2]] == [
        (other, "STATUS_CANCELED", {}),
        (plan, "STATUS_FAILED", {"first_failed_task_key": task["key"]}),
    ]
    assert network.places["b"].read(Plan, plan).failed_task == task["key"]


# Logs by the key of what failed


def test_a_log_as_a_file(network, study):
    (task,) = network.add(network.task(network.plan()["key"], study["functions"][0], "b"))
    broken = network.function(permissions=network.private("b"))["key"]
    for key in (task["key"], broken, str(uuid.uuid4())):
        assert network.client().get(f"/logs/{key}/file/").status == 404
    network.fail(task["key"], "no rows\n")
    log = network.places["a"].part().scheduler.log_of(broken)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("no such package\n")
    network.write("a", FunctionBuilding(key=broken), FunctionFailed(key=broken))
    for place in network.places.values():
        assert place.client().get(f"/logs/{task['key']}/file/").body == b"no rows\n"
        assert place.client().get(f"/logs/{broken}/file/").body == b"no such package\n"


def test_the_log_of_a_build_is_for_those_who_may_use_the_function(network):
    broken = network.function(permissions=network.private())["key"]
    network.write("a", FunctionBuilding(key=broken), FunctionFailed(key=broken))
    assert network.client("b").get(f"/logs/{broken}/file/").status == 403
