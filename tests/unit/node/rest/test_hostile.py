"""What somebody with a scientist's token, or with none, tries on a node: it is refused in words, and costs little."""

from __future__ import annotations

import asyncio
import shutil
from collections import namedtuple

import pytest

from comity.adapters import arriving, disk
from comity.node import history
from comity.node.accounts.roles import Role

LOGIN, FORM, PARTS = "/api-token-auth/", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"


def refused(reply, why, status=400):
    assert reply.status == status, reply.body
    assert why in str(reply.json)


def test_strangers_send_little(network):
    refused(network.places["a"].anyone.call("POST", LOGIN, b"a" * (16 << 10) + b"b", FORM), "more than 16384 bytes")


@pytest.mark.parametrize(("kind", "limit"), [(FORM, "SILENCE"), (FORM, "WHOLE"), (PARTS, "SILENCE")])
def test_who_falls_silent_is_not_waited_for(network, monkeypatch, kind, limit):
    monkeypatch.setattr(arriving, limit, 0.0)
    client = network.client(role=Role.SCIENTIST)

    async def silent(scope, receive, send):
        await client.app(scope, asyncio.Event().wait, send)

    path = LOGIN if kind == FORM else "/function/"
    reply = type(client)(network.loop, silent, client.token).call("POST", path, b"", kind)
    refused(reply, "come")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a" * 300, "cannot be read"),
        ("a/" * 3000, "cannot be read"),
        ("loop/in", "cannot be read"),
        ("link", "is a link"),
    ],
)
def test_paths_that_cannot_be(network, name, why):
    root = network.places["a"].folder / "data"
    (root / "real").mkdir(parents=True)
    (root / "loop").symlink_to(root / "loop")
    (root / "link").symlink_to(root / "real")
    body = {"data_manager_keys": [network.dataset()["key"]], "paths": [f"{root}/{name}"]}
    refused(network.client(role=Role.SCIENTIST).post("/data_sample/", body), why)


def test_paths_outside_are_alike_whether_they_are_there(network, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for name in ("there", "link", "nowhere", "a" * 300):
        body = {"data_manager_keys": [network.dataset()["key"]], "path": f"{tmp_path}/{name}"}
        refused(network.client(role=Role.SCIENTIST).post("/data_sample/", body), "is not below a folder", 403)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("b" * 300, b""),
        ("b", b"--b\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n"),
        ("b", b"--b\r\n" + b"X: a\r\n" * 1000 + b"\r\nx\r\n--b--\r\n"),
    ],
)
def test_forms_of_nothing_but_headers(network, kind, body):
    reply = network.client().call("POST", "/function/", body, f"multipart/form-data; boundary={kind}")
    refused(reply, "the form cannot be read")


def test_some_room_is_left_on_the_disk(network, monkeypatch):
    dataset = network.dataset()["key"]
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(disk.LEFT + 10))
    packed = {"path": network.zipped({"rows.csv": b"12345678901"})}
    client = network.client(role=Role.SCIENTIST)
    refused(client.upload("/data_sample/", {"data_manager_keys": [dataset]}, packed), "the limit of 10 bytes")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(disk.LEFT))
    refused(client.upload("/data_sample/", {"data_manager_keys": [dataset]}, packed), "no room left", 507)
    large = {"file": b"x" * (2 << 20), "description": b"#"}
    refused(client.upload("/function/", {"name": "f", "permissions": network.PUBLIC}, large), "no room left", 507)
    assert list((network.places["a"].folder / "uploads").iterdir()) == []


def test_the_log_comes_in_answers_of_a_few_megabytes(network, monkeypatch):
    for _ in range(4):
        network.plan()
    monkeypatch.setattr(history, "MOST_BYTES", 1)
    client, places = network.client(role=Role.AUDITOR), []
    before = client.get("/log/").json["size"]
    while before:
        page = client.get("/log/", before=before).json
        places += [each["place"] for each in page["results"]]
        before = page["before"]
    assert places == list(range(client.get("/log/").json["size"]))[::-1]
    assert len(client.get("/log/leaves/").json["results"]) == 1


@pytest.mark.parametrize("host", ["[", "a b", "a/b?c#d", "é", "a:99999999", "a@b"])
def test_a_host_that_is_none(network, host):
    client = network.client()
    reply = type(client)(network.loop, client.app, client.token, host=host).get("/info/")
    assert (reply.status, reply.json["host"]) == (200, "http://node.example/")
