"""The log over HTTP: entries in words, and leaves that verify; the channel at a glance."""

from __future__ import annotations

import json

import msgspec
import pytest

from comity.adapters.sql.log import Log
from comity.domain.events import Redacted
from comity.domain.records import Dataset
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.node import history
from comity.node.accounts.roles import Role


def test_entries_are_shown_the_latest_first(network):
    key = network.dataset()["key"]
    client = network.client("b")
    page = client.get("/log/", limit=2).json
    latest, before = page["results"]
    assert (latest["place"], before["place"]) == (page["size"] - 1, page["size"] - 2)
    assert (page["before"], latest["author"]) == (page["size"] - 2, "a")
    (event,) = latest["events"]
    assert (event["type"], event["key"], event["name"]) == ("dataset_registered", key, "heart")
    everything, at = [], page["size"]
    while at:
        page = client.get("/log/", limit=2, before=at).json
        everything += page["results"]
        at = page["before"]
    assert [each["place"] for each in everything] == list(reversed(range(page["size"])))
    assert everything[-1]["events"][0]["type"] == "channel_created"


def test_a_search_finds_what_was_asked_for(network, monkeypatch):
    key = network.dataset()["key"]
    network.plan(owner="b")
    client = network.client("b")
    asked = {"author": {"author": "b"}, "type": {"type": "dataset_registered"}, "about": {"about": key}}
    found = {name: client.get("/log/", **query).json["results"] for name, query in asked.items()}
    assert [each["events"][0]["type"] for each in found["author"]] == ["plan_registered"]
    assert [each["events"][0]["key"] for each in found["type"]] == [key]
    assert found["about"] == found["type"]
    monkeypatch.setattr(history, "LOOKED", 2)  # a search goes on where it ended
    page = client.get("/log/", type="channel_created").json
    assert (page["results"], page["before"]) == ([], page["size"] - 2)


def test_a_redacted_text_is_gone(network):
    key = network.dataset()["key"]
    name = network.places["a"].read(Dataset, key).name
    network.write("a", Redacted(texts=(name,)))
    (entry,) = network.client("b").get("/log/", about=key).json["results"]
    assert entry["events"][0]["name"] == "(redacted)"


def test_an_organization_redacts_what_it_wrote(network):
    key, size = network.dataset()["key"], network.client().get("/log/").json["size"]
    name = network.places["a"].read(Dataset, key).name
    plan = network.plan(tag="mine")["key"]
    steward = network.client("a", Role.STEWARD)
    assert steward.post("/log/redact/", {"texts": [name]}).json == {"redacted": [name]}
    done = steward.post("/log/redact/", {"entries": [size]}).json["redacted"]
    assert len(done) == 2  # name and tag
    for each, fields in ((key, ["name"]), (plan, ["name", "tag_text"])):
        (entry,) = network.client("b").get("/log/", about=each, author="a").json["results"]
        assert [entry["events"][0][field] for field in fields] == ["(redacted)"] * len(fields)
    assert steward.post("/log/redact/", {"texts": [name]}).status == 404  # it is gone
    assert steward.post("/log/redact/", {"entries": [size]}).status == 404


def test_what_others_wrote_is_not_redacted(network):
    key, own = network.dataset()["key"], network.plan(owner="b")["key"]
    name = network.places["a"].read(Dataset, key).name
    place = network.client("b").get("/log/", about=key).json["results"][0]["place"]
    for asked in ({"texts": [name]}, {"entries": [place, place + 1]}):
        assert network.client("b").post("/log/redact/", asked).status == 403
    shown = network.client("b").get("/log/").json["results"]
    assert [each["events"][0].get("name") for each in shown[:2]] == ["study", "heart"], own
    for asked in ({}, {"texts": ["sha256:0"]}, {"entries": [-1]}, {"entries": 3}):
        assert network.client("b").post("/log/redact/", asked).status == 400


def test_leaves_are_those_of_the_tree(network):
    network.dataset()
    size = network.client("b").get("/log/").json["size"]
    tree = Tree(HashesInMemory(), 0)
    for start in range(0, size, 2):
        body = network.client("b").get("/log/leaves/", start=start, limit=2).body
        for each in msgspec.json.decode(body, type=dict[str, list[dict[str, msgspec.Raw]]])["results"]:
            tree.append(leaf_hash(bytes(each["leaf"])))
    with network.hub.read() as connection:
        assert tree.root() == Log(connection, 1).tree.root()


@pytest.mark.parametrize("query", [{"limit": "-1"}, {"before": "x"}, {"limit": "٣"}, {"before": "1" * 40}])
def test_numbers_are_whole(network, query):
    assert network.client().get("/log/", **query).status == 400


def test_the_network_at_a_glance(network):
    plan, function = network.plan()["key"], network.function()["key"]
    network.build(function)
    network.add(*(network.task(plan, function, worker) for worker in "abb"))
    shown = network.client("b").get("/network/").json
    assert (shown["organization"], shown["channel"], shown["connected"], shown["broken"]) == ("b", "main", True, None)
    assert (shown["sandbox"], shown["sandbox_trouble"]) == ("plain", None)  # as this node was told
    members = {each["organization"]: each for each in shown["organizations"]}
    assert list(members) == ["a", "b"]
    assert members["a"]["tasks"] == {"STATUS_WAITING_FOR_EXECUTOR_SLOT": 1}
    assert members["b"]["tasks"] == {"STATUS_WAITING_FOR_EXECUTOR_SLOT": 2}
    assert members["b"]["connected"] is None  # nobody could be asked
    assert json.dumps(shown)
