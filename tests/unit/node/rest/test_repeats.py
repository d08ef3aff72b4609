"""A request that is made again under its `Idempotency-Key`: one asset, one answer, whatever happened in between."""

import asyncio
import json
import uuid

import pytest
from sqlalchemy import select, update

from comity.node import schema
from comity.node.accounts.roles import Role
from comity.node.rest import repeats
from comity.node.rest.app import app
from comity.node.rest.routes import ROUTES

BODY = {"name": "heart", "permissions": {"public": False, "authorized_ids": []}}
OPENER = "class Rows:\n    def get_data(self, folders): ...\n    def fake_data(self, n): ...\n"
BEGAN = "was begun, and this node stopped before it was answered"


def form(body=BODY, boundary="5eb7"):
    """A dataset, as clients send it: with a boundary of their choice."""
    parts = {'"json"': json.dumps(body), '"data_opener"; filename="o"': OPENER, '"description"; filename="d"': "#"}
    data = "".join(
        f"--{boundary}\r\ncontent-disposition: form-data; name={name}\r\n\r\n{part}\r\n" for name, part in parts.items()
    )
    return f"{data}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def register(client, key="k", **given):
    data, kind = form(**given)
    return client.call("POST", "/data_manager/", data, kind, idempotency_key=key)


def plan(client, key="k", **given):
    body = json.dumps({"key": str(uuid.uuid4()), "name": "study", **given}).encode()
    return client.call("POST", "/compute_plan/", body, "application/json", idempotency_key=key)


def datasets(network):
    return network.client().get("/data_manager/").json["count"]


def rows(network):
    table = schema.answers
    with network.places["a"].node.database.read() as connection:
        return connection.execute(select(table).order_by(table.c.created_at)).all()


def test_it_is_done_once_and_answered_as_the_first_time(network):
    client = network.client()
    first = register(client)
    again = register(client, boundary="another")
    assert (first.status, first.json["name"]) == (201, "heart")
    assert (again.status, again.json) == (201, first.json)
    assert datasets(network) == 1
    assert register(client, "other").json["key"] != first.json["key"]
    assert datasets(network) == 2


def test_without_a_key_it_is_done_as_often_as_it_is_sent(network):
    client = network.client()
    assert register(client, "").json["key"] != register(client, "").json["key"]
    assert not rows(network)


@pytest.mark.parametrize("other", [lambda client: register(client, body={**BODY, "name": "lungs"}), plan])
def test_another_request_under_the_same_key_is_refused(network, other):
    client = network.client()
    register(client)
    reply = other(client)
    assert (reply.status, "was used for another request; take a new one" in reply.json["detail"]) == (422, True)
    assert datasets(network) == 1
    assert client.get("/compute_plan/").json["count"] == 0


def test_a_key_is_its_users_own(network):
    one, two = (register(network.client("a", role)) for role in (Role.ADMIN, Role.SCIENTIST))
    assert (one.status, two.status, datasets(network)) == (201, 201, 2)


@pytest.mark.parametrize("key", ["a b", "é", "k" * 256, "\x7f"])
def test_what_is_no_key(network, key):
    reply = register(network.client(), key)
    assert (reply.status, "1 to 255 visible ASCII characters" in reply.json["detail"]) == (400, True)


def test_what_was_refused_is_done_anew(network):
    client = network.client()
    following = network.places["a"].part().following
    following.connected = False
    assert register(client).status == 503
    assert not rows(network)
    following.connected = True
    assert register(client).status == 201


def test_it_is_known_after_a_restart(network):
    place = network.places["a"]
    client = network.client()
    first = register(client)
    restarted = app(place.node, place.accounts, folder=place.folder, clock=network.clock)
    again = register(type(client)(client.loop, restarted, client.token))
    assert (again.json, datasets(network)) == (first.json, 1)


def test_one_that_was_never_answered_is_not_done_again(network):
    """The node died at it."""
    client = network.client()
    register(client)
    undone = update(schema.answers).values(request="", status=0, body=b"")
    network.places["a"].node.database.write(lambda connection: connection.execute(undone))
    reply = register(client)
    assert (reply.status, BEGAN in reply.json["detail"], datasets(network)) == (409, True, 1)


def test_whoever_asks_again_while_it_is_held_waits_for_it(network):
    """So does one whose first request was cut off: it goes on."""
    client, following = network.client(), network.places["a"].part().following
    held, write, written = asyncio.Event(), following.write, []

    async def slow(events, texts):
        written.append(events)
        await held.wait()
        await write(events, texts)

    following.write = slow

    async def story():
        send = lambda **given: client._call("POST", "/data_manager/", *form(**given), {"idempotency-key": "k"})  # noqa: E731
        first = asyncio.ensure_future(send())
        while not written:
            await asyncio.sleep(0)
        first.cancel()
        waiting = [asyncio.ensure_future(each) for each in (send(), send(body={**BODY, "name": "lungs"}))]
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        held.set()
        return await asyncio.gather(*waiting)

    same, other = network.loop.run_until_complete(story())
    assert (same.status, other.status, len(written), datasets(network)) == (201, 422, 1, 1)


def test_whoever_has_waited_for_one_that_was_refused_tries_it(network):
    client, following = network.client(), network.places["a"].part().following
    held, write, written = asyncio.Event(), following.write, []

    async def slow(events, texts):
        written.append(events)
        if len(written) == 1:
            await held.wait()
            raise repeats.InvalidInput("not now")
        await write(events, texts)

    following.write = slow

    async def story():
        send = lambda: client._call("POST", "/data_manager/", *form(), {"idempotency-key": "k"})  # noqa: E731
        first = asyncio.ensure_future(send())
        while not written:
            await asyncio.sleep(0)
        second = asyncio.ensure_future(send())
        for _ in range(100):
            await asyncio.sleep(0)
        held.set()
        return [(await each).status for each in (first, second)]

    assert network.loop.run_until_complete(story()) == [400, 201]
    assert datasets(network) == 1


def test_answers_are_forgotten_in_time_and_in_number(network, monkeypatch):
    client = network.client()
    monkeypatch.setattr(repeats, "MOST", 3)
    for number in range(5):
        assert plan(client, f"k{number}").status == 201
    assert [row.key for row in rows(network)] == ["k2", "k3", "k4"]
    monkeypatch.setattr(repeats, "MOST_BYTES", sum(len(row.body) for row in rows(network)[1:]))
    plan(client, "k5")
    assert [row.key for row in rows(network)] in (["k4", "k5"], ["k5"])
    monkeypatch.setattr(repeats, "KEPT", 3_600_000)
    network.clock.now += 3_600_000
    register(client)
    assert [row.key for row in rows(network)] == ["k"]


def test_they_go_with_their_user(network):
    place = network.places["a"]
    register(network.client("a", Role.SCIENTIST))
    assert len(rows(network)) == 1
    place.accounts.delete(place.numbers["main"], "scientist-main")
    assert not rows(network)


SECRETS = {
    "/api-token/": ({"expires_at": "2030-01-01"}, [200, 200]),
    "/users/": ({"username": "ada", "password": "a horse of another colour"}, [201, 409]),
    "/users/{key}/reset_password/": ({}, [200, 200]),
}


def test_what_holds_a_secret_is_never_kept(network):
    """Nor a digest of it: whoever reads that could try passwords on it."""
    kept = {route.path for route in ROUTES if route.repeats}
    anyone = {"/api-token-auth/", "/users/{key}/set_password/"}
    assert kept == {route.path for route in ROUTES if route.method == "POST"} - anyone - SECRETS.keys()
    client = network.client()
    for path, (value, statuses) in SECRETS.items():
        path, body = path.replace("{key}", "admin-main"), json.dumps(value).encode()
        made = [client.call("POST", path, body, "application/json", idempotency_key="k").status for _ in range(2)]
        assert (made, rows(network)) == (statuses, [])
