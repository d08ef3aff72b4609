"""Datasets, data samples and functions: what is taken, what is refused, and that nothing half-done stays."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from comity.domain.records import DataSample
from comity.node import samples
from comity.node.accounts.roles import Role

UNKNOWN = "11111111-2222-4333-8444-555555555555"


def left(network: Any, name: str = "a") -> set[str]:
    """Every file that a node keeps beside its database."""
    folder = network.places[name].folder
    return {
        str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file() and "node.db" not in each.name
    }


def linked(target: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("rows")
        member.type, member.linkname = tarfile.SYMTYPE, target
        archive.addfile(member)
    return made.getvalue()


BAD_ARCHIVES = {
    "nothing": b"",
    "no archive": b"rows",
    "traversal": ("zip", {"../rows": b"1"}),
    "absolute": ("zip", {"/rows": b"1"}),
    "empty": ("zip", {}),
    "link": linked("/etc/passwd"),
}


def packed(network: Any, bad: Any) -> bytes:
    return network.zipped(bad[1]) if isinstance(bad, tuple) else bad


def test_a_dataset_is_registered(network):
    made = network.dataset("a", network.private("b"), network.private("b"), metadata={"disease": "heart"})
    assert (made["name"], made["owner"], made["metadata"]) == ("heart", "a", {"disease": "heart"})
    assert made["permissions"]["process"] == {"public": False, "authorized_ids": ["a", "b"]}
    assert made["logs_permission"] == {"public": False, "authorized_ids": ["a", "b"]}
    assert network.client("b").get(f"/data_manager/{made['key']}/").json["name"] == "heart"
    assert made["opener"]["storage_address"] == f"http://node.example/data_manager/{made['key']}/opener/"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "a name is missing"),
        ({"name": "n" * 101}, "101 characters"),
        ({"name": "n\x00"}, "holds a zero, or half of a sign"),
        ({"metadata": {"a__b": "c"}}, "holds __"),
        ({"metadata": {"a": "c" * 101}}, "101 characters"),
        ({"metadata": {"a": 1}}, "Expected `str`"),
        ({"permissions": {"public": False, "authorized_ids": ["nobody"]}}, "invalid permission input values"),
        ({"permissions": None}, "Expected `object`"),
    ],
)
def test_a_dataset_that_cannot_be(network, change, said):
    before = left(network)
    body = {"name": "heart", "permissions": network.PUBLIC, "logs_permission": network.PUBLIC, **change}
    files = {"data_opener": network.OPENER, "description": b"#"}
    reply = network.client().upload("/data_manager/", body, files)
    assert reply.status == 400
    assert said in reply.json["detail"]
    assert left(network) == before


@pytest.mark.parametrize(
    "files",
    [
        {"data_opener": b"x"},
        {"description": b"x"},
        {"data_opener": b"class Rows(Opener", "description": b"x"},
        {"data_opener": b"def get_data(folders):\n    return folders\n", "description": b"x"},
        {"data_opener": b"", "description": b"x"},
        {"data_opener": b"x" * ((4 << 20) + 1), "description": b"x"},
    ],
    ids=["no description", "no opener", "broken", "no class", "empty", "too large"],
)
def test_a_dataset_without_its_files(network, files):
    body = {"name": "heart", "permissions": network.PUBLIC, "logs_permission": network.PUBLIC}
    assert network.client().upload("/data_manager/", body, files).status == 400
    assert left(network) == set()


def test_nothing_stays_of_what_the_hub_does_not_hear(network):
    following = network.places["a"].part().following
    following.connected = False
    body = {"name": "heart", "permissions": network.PUBLIC, "logs_permission": network.PUBLIC}
    reply = network.client().upload("/data_manager/", body, {"data_opener": network.OPENER, "description": b"#"})
    assert (reply.status, reply.json["detail"]) == (503, "the hub is away; try again")
    assert left(network) == set()


def test_names_are_changed_by_owners(network):
    made = {
        "data_manager": network.dataset()["key"],
        "function": network.function()["key"],
        "compute_plan": network.plan()["key"],
    }
    for noun, key in made.items():
        assert network.client("a").put(f"/{noun}/{key}/", {"name": "new"}).json == {}
        assert network.client("b").get(f"/{noun}/{key}/").json["name"] == "new"
        reply = network.client("b").put(f"/{noun}/{key}/", {"name": "mine"})
        assert reply.status == 403
        assert reply.json["detail"].startswith("OE0102: ")
        assert network.client("a").put(f"/{noun}/{key}/", {"name": ""}).status == 400
        assert network.client("a").put(f"/{noun}/{key}/", {}).status == 400
        assert network.client("a").put(f"/{noun}/{UNKNOWN}/", {"name": "new"}).status == 404


# Data samples


def test_samples_are_uploaded_in_their_order(network):
    dataset = network.dataset()["key"]
    files = {f"s{number}": network.zipped({"rows.csv": f"{number}".encode()}) for number in (3, 1, 2)}
    made = network.client().upload("/data_sample/", {"data_manager_keys": [dataset]}, files)
    assert made.status == 201
    assert [set(each) for each in made.json] == [{"key", "owner", "data_manager_keys", "creation_date"}] * 3
    keys = [each["key"] for each in made.json]
    place = network.places["a"]
    with place.node.database.read() as connection:
        folders = samples.folders(connection, place.numbers["main"], keys)
    assert [(folder / "rows.csv").read_text() for folder in folders] == ["3", "1", "2"]
    assert set(place.client().get(f"/data_manager/{dataset}/").json["data_sample_keys"]) == set(keys)


@pytest.mark.parametrize("bad", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_an_archive_that_is_no_sample(network, bad):
    dataset = network.dataset()["key"]
    before = left(network)
    files = {"good": network.zipped({"rows": b"1"}), "bad": packed(network, bad)}
    reply = network.client().upload("/data_sample/", {"data_manager_keys": [dataset]}, files)
    assert reply.status == 400, reply.body
    assert left(network) == before
    assert network.client().get("/data_sample/").json["count"] == 0


@pytest.mark.parametrize(("datasets", "status"), [([], 400), ([UNKNOWN], 400), (["b's"], 403), (["x"], 400)])
def test_samples_of_a_dataset_that_is_not_ones_own(network, datasets, status):
    other = network.dataset("b")["key"]
    before = left(network)
    body = {"data_manager_keys": [other if each == "b's" else each for each in datasets]}
    reply = network.client().upload("/data_sample/", body, {"path": network.zipped({"rows": b"1"})})
    assert reply.status == status
    assert left(network) == before


def test_a_sample_that_is_refused_in_the_end(network):
    place, dataset = network.places["a"], network.dataset()["key"]
    before = left(network)

    async def write(events: Any, texts: Any) -> None:
        place.part().following.connected = False
        await place.part().following.check(events)

    place.part().following.write = write
    body = {"data_manager_keys": [dataset]}
    assert network.client().upload("/data_sample/", body, {"path": network.zipped({"rows": b"1"})}).status == 503
    assert left(network) == before
    with place.node.database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from samples").scalar() == 0


@pytest.fixture
def data(network):
    """Folder `data` of a's node, below which samples may be registered in place."""
    folder = network.places["a"].folder / "data"
    (folder / "s1").mkdir(parents=True)
    (folder / "s1" / "rows").write_text("1")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(folder / "s1")
    (folder / "out").symlink_to(network.folder)
    outside = network.places["a"].folder / "private"
    outside.mkdir()
    (outside / "rows").write_text("2")
    return folder


def test_a_sample_stays_where_it_lies(network, data):
    dataset = network.dataset()["key"]
    for body in ({"path": str(data / "s1")}, {"paths": [str(data / "s1")]}):
        made = network.client().post("/data_sample/", {"data_manager_keys": [dataset], **body})
        assert made.status == 201
        place = network.places["a"]
        with place.node.database.read() as connection:
            (folder,) = samples.folders(connection, place.numbers["main"], [made.json[0]["key"]])
        assert folder == data / "s1"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("s1/../../private", 403),
        ("../private", 403),
        ("out/a/private", 403),
        ("link", 400),
        ("empty", 400),
        ("missing", 400),
        ("s1/rows", 400),
        ("s1\x00", 400),
    ],
)
def test_a_path_that_is_no_sample(network, data, path, status):
    body = {"data_manager_keys": [network.dataset()["key"]], "path": f"{data}/{path}"}
    assert network.client().post("/data_sample/", body).status == status
    assert network.client().get("/data_sample/").json["count"] == 0


@pytest.mark.parametrize("body", [{}, {"path": None}, {"paths": []}, {"path": "relative"}, {"path": 1}, []])
def test_no_path_at_all(network, body):
    dataset = network.dataset()["key"]
    body = {"data_manager_keys": [dataset], **body} if isinstance(body, dict) else body
    assert network.client().post("/data_sample/", body).status == 400


def test_samples_are_linked_to_further_datasets(network):
    first, second, other = network.dataset()["key"], network.dataset()["key"], network.dataset("b")["key"]
    sample = network.sample(first)
    fields = {"data_manager_keys": [second], "data_sample_keys": [sample]}
    assert network.client().form("/data_sample/bulk_update/", fields).status == 200
    assert network.client().get(f"/data_manager/{second}/").json["data_sample_keys"] == [sample]
    assert set(network.places["b"].client().get(f"/data_sample/{sample}/").json["data_manager_keys"]) == {first, second}
    for fields, status in (
        ({"data_manager_keys": [other], "data_sample_keys": [sample]}, 403),
        ({"data_manager_keys": [second], "data_sample_keys": [UNKNOWN]}, 404),
        ({"data_manager_keys": [second]}, 400),
        ({"data_manager_keys": ["x"], "data_sample_keys": [sample]}, 400),
        ({}, 400),
    ):
        assert network.client().form("/data_sample/bulk_update/", fields).status == status
    assert network.client().call("POST", "/data_sample/bulk_update/", b"\xff").status == 400


def test_a_sample_is_of_its_owner(network):
    sample = network.sample(network.dataset("b")["key"], "b")
    assert network.places["a"].read(DataSample, sample).owner == "b"
    assert network.client("a", Role.AUDITOR).get(f"/data_sample/{sample}/").json["owner"] == "b"


# Functions


@pytest.mark.parametrize(
    "files",
    [
        {"function.json": b'{"entry": "model:train"}', "model.py": b""},
        {"Dockerfile": b"FROM scratch", "function.py": b""},
    ],
    ids=["bundle", "Dockerfile"],
)
def test_a_function_is_registered(network, files):
    body = {"name": "train", "permissions": network.PUBLIC, "inputs": {}, "outputs": {}}
    made = network.client().upload("/function/", body, {"file": network.zipped(files), "description": b"#"})
    assert made.status == 201
    assert made.json["status"] == "FUNCTION_STATUS_WAITING"
    assert network.client("b").get(f"/function/{made.json['key']}/").json["archive"]["checksum"]


@pytest.mark.parametrize(
    "bad",
    [
        *BAD_ARCHIVES.values(),
        ("zip", {"model.py": b""}),
        ("zip", {"Dockerfile": b""}),
        ("zip", {"function.json": b"{}"}),
        ("zip", {"nested/function.json": b'{"entry": "a:b"}'}),
    ],
)
def test_an_archive_that_is_no_function(network, bad):
    body = {"name": "train", "permissions": network.PUBLIC}
    files = {"file": packed(network, bad), "description": b"#"}
    assert network.client().upload("/function/", body, files).status == 400
    assert left(network) == set()


def test_a_bomb_is_refused(network):
    data = network.zipped({f"{number}": b"" for number in range(10_001)})
    body = {"name": "train", "permissions": network.PUBLIC}
    reply = network.client().upload("/function/", body, {"file": data, "description": b"#"})
    assert (reply.status, "more than the limit" in reply.json["detail"]) == (400, True)
    assert left(network) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"x": {"kind": "ASSET_PERFORMANCE"}}},
        {"inputs": {"opener": {"kind": "ASSET_DATA_MANAGER"}}},
        {"inputs": {"bad/name": {"kind": "ASSET_MODEL"}}},
        {"outputs": {"x": {"kind": "ASSET_DATA_SAMPLE"}}},
        {"outputs": {"x": {"kind": "ASSET_PERFORMANCE", "multiple": True}}},
    ],
)
def test_inputs_and_outputs_that_cannot_be(network, change):
    body = {"name": "train", "permissions": network.PUBLIC, **change}
    files = {"file": network.zipped(network.ARCHIVE), "description": b"#"}
    assert network.client().upload("/function/", body, files).status == 400
    assert left(network) == set()
