"""Files are given to those who may have them, brought from their owner when they are not here."""

from __future__ import annotations

import asyncio

import pytest

from comity.domain.events import OutputsReleased
from comity.node import fetching
from comity.node.rest.reading import BINARY, TEXT
from comity.values.stream import CHUNK


@pytest.mark.parametrize(
    ("noun", "part", "media"),
    [("data_manager", "opener", TEXT), ("data_manager", "description", TEXT), ("function", "file", BINARY)],
)
def test_a_file_of_another_organization(network, noun, part, media):
    make = {"data_manager": network.dataset, "function": network.function}[noun]
    for permissions, status in ((network.private(), 403), (network.private("b"), 200), (network.PUBLIC, 200)):
        made = make("a", permissions)
        field = {"file": "archive"}.get(part, part)
        address = made[field]["storage_address"]
        theirs = network.client("b").get(f"/{noun}/{made['key']}/").json[field]["storage_address"]
        assert address == theirs == f"http://node.example/{noun}/{made['key']}/{part}/"
        own, other = network.client("a").get(address), network.client("b").get(address)
        assert (own.status, other.status) == (200, status)
        assert own.headers["content-type"] == media
        assert own.headers["x-content-type-options"] == "nosniff"
        assert own.headers["content-length"] == str(len(own.body))
        assert own.headers["content-disposition"].startswith("attachment; ")
        if status == 200:
            assert other.body == own.body


def test_descriptions(network):
    function = network.function()["key"]
    assert network.client("b").get(f"/function/{function}/description/").body == b"# Train"
    dataset = network.dataset()["key"]
    assert network.client("b").get(f"/data_manager/{dataset}/opener/").body == network.OPENER


@pytest.fixture
def trained(network):
    """Makes a task of a's that leaves a model of some bytes with some permissions: (task, model)."""
    function = network.function()["key"]
    network.build(function)
    plan = network.plan()["key"]

    def train(permissions, data=b"weights", *, transient=False):
        outputs = {"model": {"permissions": permissions, "transient": transient}}
        (task,) = network.add(network.task(plan, function, outputs=outputs))
        return task["key"], network.run(task["key"], data)

    return train


def test_a_model_goes_to_those_it_is_for(network, trained):
    for permissions, status in ((network.private(), 403), (network.private("b"), 200), (network.PUBLIC, 200)):
        _, model = trained(permissions, str(permissions).encode())
        reply = network.client("b").get(f"/model/{model}/file/")
        assert reply.status == status
        assert (reply.body == str(permissions).encode()) == (status == 200)
        assert network.client("a").get(f"/model/{model}/file/").status == 200


def test_a_large_model_comes_in_pieces(network, trained):
    data = bytes(range(256)) * 12_288  # 3 MiB
    _, model = trained(network.PUBLIC, data)
    reply = network.client("b").get(f"/model/{model}/file/")
    assert len(data) == 3 * CHUNK
    assert reply.body == data


def test_a_released_model_is_gone(network, trained):
    task, model = trained(network.PUBLIC, transient=True)
    function = network.client().get(f"/task/{task}/").json["function"]["key"]
    plan = network.client().get(f"/task/{task}/").json["compute_plan_key"]
    parent = {"identifier": "models", "parent_task_key": task, "parent_task_output_identifier": "model"}
    (child,) = network.add(network.task(plan, function, inputs=[parent]))
    network.run(child["key"])
    network.write("a", OutputsReleased(models=(model,)))
    assert network.client("b").get(f"/model/{model}/").json["address"] is None
    for name in ("a", "b"):
        reply = network.client(name).get(f"/model/{model}/file/")
        assert (reply.status, "released" in reply.json["detail"]) == (410, True)


def test_an_owner_who_does_not_answer(network, trained, monkeypatch):
    _, model = trained(network.PUBLIC)

    async def have(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(network.places["b"].part().exchange, "have", have)
    monkeypatch.setattr(fetching, "PATIENCE", 0.0)
    reply = network.client("b").get(f"/model/{model}/file/")
    assert (reply.status, "the node of a has not sent" in reply.json["detail"]) == (503, True)


def test_a_file_that_is_gone_from_its_node(network, trained):
    _, model = trained(network.PUBLIC)
    place = network.places["a"]
    for blob in list(place.node.blobs.digests()):
        place.node.blobs.delete(blob)
    assert network.client("a").get(f"/model/{model}/file/").status == 404


@pytest.mark.parametrize("key", ["x", "..", "%2e%2e%2f", "%00", "11111111-2222-4333-8444-555555555555"])
def test_no_such_thing(network, key):
    for path in ("/model/{}/file/", "/model/{}/", "/function/{}/file/", "/data_manager/{}/opener/", "/task/{}/logs/"):
        assert network.client().get(path.format(key)).status == 404
