"""Plans and tasks: what is added, what is refused and how Substra calls it, and how it ends."""

from __future__ import annotations

import uuid

import pytest

UNKNOWN = "11111111-2222-4333-8444-555555555555"


def new_key() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def ready(network):
    """(plan, function): an empty plan of a's, and a function built everywhere."""
    function = network.function()["key"]
    network.build(function)
    return network.plan()["key"], function


def after(parent: str) -> dict[str, str]:
    return {"identifier": "models", "parent_task_key": parent, "parent_task_output_identifier": "model"}


def test_a_plan_is_registered_without_the_tasks_sent_along(network):
    body = {"key": new_key(), "name": "study", "tag": None, "metadata": None, "tasks": [{"anything": 1}]}
    made = network.client().post("/compute_plan/", body)
    assert made.status == 201
    assert (made.json["status"], made.json["task_count"], made.json["tag"]) == ("PLAN_STATUS_CREATED", 0, "")
    assert made.json["start_date"] is None


def test_a_plan_sent_again_is_shown(network):
    body = {"key": new_key(), "name": "study", "tag": "t", "metadata": {"a": "b"}}
    first, again = (network.client().post("/compute_plan/", body) for _ in range(2))
    assert (first.status, again.status) == (201, 200)
    assert again.json["key"] == first.json["key"]
    for change in ({"name": "other"}, {"tag": "u"}, {"metadata": {}}):
        reply = network.client().post("/compute_plan/", {**body, **change})
        assert (reply.status, reply.json) == (200, again.json)  # as it is: nothing but its name can change
    assert network.client("b").post("/compute_plan/", body).status == 409


@pytest.mark.parametrize(
    "change",
    [
        {"key": "no key"},
        {"key": UNKNOWN.upper().replace("1", "A")},
        {"name": ""},
        {"name": None},
        {"tag": "t" * 101},
        {"metadata": {"a__b": ""}},
        {"metadata": {"a": None}},
    ],
)
def test_a_plan_that_cannot_be(network, change):
    assert network.client().post("/compute_plan/", {"key": new_key(), "name": "study", **change}).status == 400
    assert network.client().get("/compute_plan/").json["count"] == 0


def test_tasks_are_shown_in_the_order_they_came(network, ready):
    plan, function = ready
    first = network.task(plan, function, tag="train", metadata={"round_idx": "0"})
    second = network.task(plan, function, "b", inputs=[after(first["key"])], required=False)
    made = network.add(second, first)
    assert [each["key"] for each in made] == [second["key"], first["key"]]
    assert [each["rank"] for each in made] == [1, 0]
    assert [each["status"] for each in made] == ["STATUS_WAITING_FOR_PARENT_TASKS", "STATUS_WAITING_FOR_EXECUTOR_SLOT"]
    assert [each["required"] for each in made] == [False, True]
    assert (made[1]["tag"], made[1]["metadata"]) == ("train", {"round_idx": "0"})
    assert made[0]["inputs"] == [{**after(first["key"]), "asset_key": None}]
    assert made[0]["function"]["key"] == function
    assert network.client("b").get(f"/compute_plan/{plan}/").json["task_count"] == 1  # required ones


def test_the_worker_of_a_dataset_is_known(network):
    dataset = network.dataset("b")["key"]
    sample = network.sample(dataset, "b")
    inputs = {
        "opener": {"kind": "ASSET_DATA_MANAGER", "multiple": False, "optional": False},
        "datasamples": {"kind": "ASSET_DATA_SAMPLE", "multiple": True, "optional": False},
    }
    function, plan = network.function(inputs=inputs)["key"], network.plan()["key"]
    taken = [{"identifier": "opener", "asset_key": dataset}, {"identifier": "datasamples", "asset_key": sample}]
    (task,) = network.add(network.task(plan, function, worker=None, inputs=taken))
    assert task["worker"] == "b"
    assert task["logs_permission"]["authorized_ids"] == ["b"]
    other = network.task(plan, function, "a", inputs=taken)
    assert network.client().post("/task/bulk_create/", {"tasks": [other]}).status == 400


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"compute_plan_key": UNKNOWN}, 404, "OE0002"),
        ({"function_key": UNKNOWN}, 404, "OE0002"),
        ({"worker": "nobody"}, 400, "OE0101"),
        ({"worker": None}, 400, "OE0101"),
        ({"outputs": {}}, 400, "OE0101"),
        ({"outputs": {"model": {"permissions": {"authorized_ids": ["nobody"]}}}}, 400, "OE0003"),
        ({"inputs": [{"identifier": "other", "asset_key": UNKNOWN}]}, 400, "OE0101"),
        ({"inputs": [{"identifier": "models", "asset_key": UNKNOWN}]}, 404, "OE0002"),
        ({"inputs": [after(UNKNOWN)]}, 400, "OE0101"),
        ({"inputs": [{"identifier": "models"}]}, 400, "OE0101"),
        ({"key": "x"}, 400, "OE0003"),
        ({"tag": "t" * 101}, 400, "OE0003"),
    ],
)
def test_a_task_that_cannot_be(network, ready, change, status, code):
    good, bad = network.task(*ready), {**network.task(*ready), **change}
    if "compute_plan_key" in change:
        good["compute_plan_key"] = UNKNOWN
    reply = network.client().post("/task/bulk_create/", {"tasks": [good, bad]})
    assert (reply.status, reply.json["detail"][:6]) == (status, code), reply.json
    assert network.client().get("/task/").json["count"] == 0  # all or none


def test_a_batch_that_cannot_be(network, ready):
    plan, function = ready
    task = network.task(plan, function)
    loop = {**task, "inputs": [after(task["key"])]}
    elsewhere = network.task(network.plan()["key"], function)
    for tasks, said in (
        ([], "should have the same compute plan key"),
        ([task, elsewhere], "should have the same compute plan key"),
        ([task, task], "is there twice"),
        ([loop], "cyclic dependency"),
    ):
        reply = network.client().post("/task/bulk_create/", {"tasks": tasks})
        assert (reply.status, said in reply.json["detail"]) == (400, True), reply.json
    network.add(task)
    reply = network.client().post("/task/bulk_create/", {"tasks": [task]})
    assert (reply.status, reply.json["detail"][:6]) == (409, "OE0006")
    assert network.client("b").post("/task/bulk_create/", {"tasks": [network.task(plan, function)]}).status == 403


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"tasks": 1}', b"\xff", b"[" * 100_000, b'{"tasks": [{}]}'])
def test_a_body_that_is_none(network, body):
    reply = network.client().call("POST", "/task/bulk_create/", body, "application/json")
    assert reply.status == 400
    assert reply.json["detail"].startswith("OE0003: the request's body cannot be read")


def test_a_plan_is_cancelled_by_its_owner_once(network, ready):
    plan, function = ready
    network.add(network.task(plan, function))
    assert network.client("b").post(f"/compute_plan/{plan}/cancel/").status == 403
    assert network.client().post(f"/compute_plan/{plan}/cancel/").json == {}
    shown = network.client().get(f"/compute_plan/{plan}/").json
    assert (shown["status"], shown["canceled_count"]) == ("PLAN_STATUS_CANCELED", 1)
    again = network.client().post(f"/compute_plan/{plan}/cancel/")
    assert (again.status, again.json["detail"][:6]) == (400, "OE0109")
    late = network.client().post("/task/bulk_create/", {"tasks": [network.task(plan, function)]})
    assert (late.status, late.json["detail"][:6]) == (400, "OE0109")


def test_times_of_a_plan(network, ready):
    plan, function = ready
    tasks = network.add(*(network.task(plan, function) for _ in range(2)))
    network.run(tasks[0]["key"])
    shown = network.client().get(f"/compute_plan/{plan}/").json
    assert (shown["status"], shown["done_count"], shown["end_date"]) == ("PLAN_STATUS_DOING", 1, None)
    # One of two tasks done since the start: the end is as far from now as the start is.
    assert shown["start_date"] < shown["estimated_end_date"]
    network.run(tasks[1]["key"])
    shown = network.client().get(f"/compute_plan/{plan}/").json
    assert (shown["status"], shown["estimated_end_date"]) == ("PLAN_STATUS_DONE", shown["end_date"])


def test_a_number_that_is_none_is_left_out(network):
    function = network.function(outputs={"loss": {"kind": "ASSET_PERFORMANCE", "multiple": False}})["key"]
    network.build(function)
    plan = network.plan()["key"]
    outputs = {"loss": {"permissions": network.PUBLIC}}
    tasks = network.add(*(network.task(plan, function, outputs=outputs, metadata={"round_idx": "x"}) for _ in range(3)))
    for task, value in zip(tasks, ("nan", "inf", "0.5"), strict=True):
        network.run(task["key"], performance=value)
    found = network.client().get(f"/compute_plan/{plan}/perf/").json
    assert [(each["perf"], each["compute_task"]["round_idx"]) for each in found["results"]] == [(0.5, None)]
    assert found["count"] == 1


# Logs


def test_the_log_of_a_failed_task(network, ready):
    plan, function = ready
    tasks = network.add(*(network.task(plan, function, worker) for worker in ("a", "b", "b")))
    mine, theirs, silent = (each["key"] for each in tasks)
    assert network.client().get(f"/task/{mine}/logs/").status == 404
    network.fail(mine, "no rows\n")
    reply = network.client().get(f"/task/{mine}/logs/")
    assert (reply.status, reply.body) == (200, b"no rows\n")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    network.fail(theirs, "secret\n")
    elsewhere = network.client("a").get(f"/task/{theirs}/logs/")
    assert (elsewhere.status, elsewhere.body) == (200, b"secret\n")
    assert network.client("b").get(f"/task/{theirs}/logs/").body == b"secret\n"
    assert network.client("b").get(f"/task/{mine}/logs/").status == 403  # a's plan without data: a's log
    network.fail(silent)
    assert network.client("b").get(f"/task/{silent}/logs/").status == 404
    network.places["b"].part().scheduler.log_of(theirs).unlink()
    for reader in "ab":
        assert network.client(reader).get(f"/task/{theirs}/logs/").status == 404


def test_a_log_is_read_as_its_dataset_permits(network):
    inputs = {
        "opener": {"kind": "ASSET_DATA_MANAGER", "multiple": False, "optional": False},
        "datasamples": {"kind": "ASSET_DATA_SAMPLE", "multiple": True, "optional": False},
    }
    function = network.function(inputs=inputs)["key"]
    network.build(function)
    for logs, status in ((network.private(), 403), (network.private("a"), 200)):
        dataset = network.dataset("b", logs=logs)["key"]
        taken = [
            {"identifier": "opener", "asset_key": dataset},
            {"identifier": "datasamples", "asset_key": network.sample(dataset, "b")},
        ]
        (task,) = network.add(network.task(network.plan()["key"], function, "b", inputs=taken))
        network.fail(task["key"], "rows\n")
        assert network.client("a").get(f"/task/{task['key']}/logs/").status == status
        assert network.client("b").get(f"/task/{task['key']}/logs/").body == b"rows\n"
