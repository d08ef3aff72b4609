"""What a steward sees before the word on a function is given, and what the word does."""

from __future__ import annotations

import pytest

from comity.domain.events import FunctionBuilding, FunctionReady
from comity.node.accounts.roles import Role
from comity.values.digest import digest

SCRIPT = b"def train(inputs, outputs, properties):\n    pass\n"


@pytest.fixture
def registered(network):
    """Register a function of this source at `a`; it is built, and no one has said a word on it."""

    def made(source, name="train", **more):
        body = {"name": name, "permissions": network.PUBLIC, "inputs": {}, "outputs": {}, **more}
        packed = network.zipped({"function.json": network.ARCHIVE["function.json"], "model.py": source})
        reply = network.client("a").upload("/function/", body, {"file": packed, "description": b"# Train"})
        assert reply.status == 201, reply.body
        return reply.json["key"]

    return made


@pytest.fixture
def ready(network, registered):
    def made(source, **more):
        key = registered(source, **more)
        network.write("a", FunctionBuilding(key=key), FunctionReady(key=key))
        return key

    return made


def test_functions_of_others_are_listed_with_what_was_said(network, ready):
    steward = network.client("b", Role.STEWARD)
    first, second = ready(SCRIPT), ready(SCRIPT + b"# two\n")
    ready(SCRIPT + b"# private\n", permissions=network.private())
    assert network.client("a").get("/approval/").json["results"] == []
    listed = steward.get("/approval/").json["results"]
    assert [(each["function"]["key"], each["approved"]) for each in listed] == [(second, None), (first, None)]
    assert steward.post(f"/function/{first}/approve/").status == 200
    assert steward.post(f"/function/{second}/refuse/", {"reason": "reads names"}).status == 200
    refused, approved = steward.get("/approval/").json["results"]
    assert (approved["approved"], approved["by"], approved["reason"]) == (True, "steward-main", "")
    assert (refused["approved"], refused["by"], refused["reason"]) == (False, "steward-main", "reads names")
    assert steward.get("/approval/", page=2, page_size=1).json["results"] == [approved]


def test_the_word_moves_the_tasks_that_wait_for_it(network, ready):
    client, steward = network.client("a"), network.client("b", Role.STEWARD)
    left, right = ready(SCRIPT), ready(SCRIPT + b"# two\n")
    plan = network.plan()["key"]
    first, second = network.add(
        *(network.task(plan, key, "b", outputs={}) for key in (left, right)),
    )
    assert first["waiting_for"] == "approval by b"
    assert [each["waiting_tasks"] for each in steward.get("/approval/").json["results"]] == [1, 1]
    steward.post(f"/function/{left}/approve/")
    steward.post(f"/function/{right}/refuse/", {})
    assert client.get(f"/task/{first['key']}/").json["status"] == "STATUS_WAITING_FOR_EXECUTOR_SLOT"
    assert client.get(f"/task/{second['key']}/").json["status"] == "STATUS_FAILED"


def test_a_review_shows_the_source_and_the_last_approved_of_its_name(network, ready):
    steward = network.client("b", Role.STEWARD)
    old, other, new = ready(SCRIPT), ready(SCRIPT + b"# other\n", name="test"), ready(SCRIPT + b"# new\n")
    assert steward.get(f"/function/{new}/review/").json["before"] is None
    for key in (old, other):
        steward.post(f"/function/{key}/approve/")
    review = steward.get(f"/function/{new}/review/").json
    assert review["files"] == {
        "function.json": network.ARCHIVE["function.json"].decode(),
        "model.py": (SCRIPT + b"# new\n").decode(),
    }
    assert review["before"]["function"]["key"] == old
    assert review["before"]["files"]["model.py"] == SCRIPT.decode()


def test_nothing_hides_in_a_source(network, ready):
    hidden = b"\x1b[2K# \xe2\x80\xae\r\nx = 'seen'\n"
    steward = network.client("b", Role.STEWARD)
    shown = steward.get(f"/function/{ready(hidden)}/review/").json["files"]["model.py"]
    assert shown == "\\x1b[2K# \\u202e\\r\nx = 'seen'\n"
    binary = b"\xff\xfe\x00"
    shown = steward.get(f"/function/{ready(binary)}/review/").json["files"]["model.py"]
    assert shown == f"(3 bytes that are not shown, {digest(binary)})\n"
    long = b"#" * (1 << 20) + b"\n"
    shown = steward.get(f"/function/{ready(long)}/review/").json["files"]["model.py"]
    assert shown == f"({len(long)} bytes that are not shown, {digest(long)})\n"


def test_a_function_that_may_not_be_used_is_not_shown(network, ready):
    key = ready(SCRIPT, permissions=network.private())
    assert network.client("b", Role.STEWARD).get(f"/function/{key}/review/").status == 403


def test_a_withdrawn_dataset_is_used_no_more(network):
    dataset = network.dataset()["key"]
    sample = network.sample(dataset)
    data = {"kind": "ASSET_DATA_MANAGER", "multiple": False, "optional": False}
    samples = {"kind": "ASSET_DATA_SAMPLE", "multiple": True, "optional": False}
    reads = network.function(inputs={"data": data, "samples": samples})["key"]
    takes = network.function()["key"]
    for each in (reads, takes):
        network.build(each)
    plan = network.plan()["key"]
    given = [{"identifier": "data", "asset_key": dataset}, {"identifier": "samples", "asset_key": sample}]
    (first,) = network.add(network.task(plan, reads, inputs=given))
    parent = {"parent_task_key": first["key"], "parent_task_output_identifier": "model"}
    second, apart = network.add(
        network.task(plan, takes, "b", inputs=[{"identifier": "models", **parent}]), network.task(plan, takes)
    )
    made = [network.run(each["key"]) for each in (first, second, apart)]
    steward = network.client("a", Role.STEWARD)
    assert network.client("b", Role.STEWARD).post(f"/data_manager/{dataset}/withdraw/", {}).status == 403
    withdrawn = steward.post(f"/data_manager/{dataset}/withdraw/", {"reason": "consent ended"})
    assert {each["key"] for each in withdrawn.json["models"]} == set(made[:2])
    assert steward.get(f"/data_manager/{dataset}/").json["withdrawn_date"]
    assert steward.post(f"/data_manager/{dataset}/withdraw/", {}).status == 409
    refused = network.client("a").post("/task/bulk_create/", {"tasks": [network.task(plan, reads, inputs=given)]})
    assert refused.status == 403
    assert "has withdrawn the dataset" in refused.json["detail"]
