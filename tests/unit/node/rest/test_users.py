"""Users over HTTP: who manages them, what a reset is good for, and that somebody always manages them."""

from __future__ import annotations

import pytest

from comity.node.accounts.roles import Role

NEW = "a horse of another colour"


@pytest.fixture
def admin(network):
    return network.client()


def add(admin, username, role="USER"):
    reply = admin.post("/users/", {"username": username, "password": NEW, "role": role})
    assert reply.status == 201, reply.body
    return reply.json


def login(place, username, password):
    return place.anyone.form("/api-token-auth/", {"username": username, "password": password})


def test_a_user_is_added_and_logs_in(network, admin):
    channel = admin.get("/info/").json["channel"]
    made = add(admin, "ada")
    assert made == {
        "username": "ada",
        "channel": channel,
        "role": "USER",
        "comity_role": "scientist",
        "is_external_user": False,
    }
    assert admin.get("/users/ada/").json == made
    place = network.places["a"]
    token = login(place, "ada", NEW).json["token"]
    assert place.shows(token).get("/info/").json["user_role"] == "USER"
    assert place.shows(token).get("/users/").status == 403


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"username": "admin-main"}, 409),
        ({"username": "no name"}, 400),
        ({"username": None}, 400),
        ({"password": "short"}, 400),
        ({"password": None}, 400),
        ({"role": "KING"}, 400),
    ],
)
def test_a_user_that_cannot_be(admin, change, status):
    reply = admin.post("/users/", {"username": "ada", "password": NEW, "role": "USER", **change})
    assert reply.status == status, reply.body
    assert NEW not in reply.body.decode()
    assert [each["username"] for each in admin.get("/users/").json["results"]] == ["admin-main"]


def test_users_are_found(admin):
    for name, role in (("ada", "USER"), ("bob", "auditor"), ("eve", "ADMIN")):
        add(admin, name, role)
    for query, found in (
        ({}, ["ada", "admin-main", "bob", "eve"]),
        ({"ordering": "-username"}, ["eve", "bob", "admin-main", "ada"]),
        ({"match": "AD"}, ["ada", "admin-main"]),
        ({"role": "ADMIN"}, ["admin-main", "eve"]),
        ({"role": "USER"}, ["ada", "bob"]),
        ({"role": "auditor"}, ["bob"]),
        ({"page_size": 3, "page": 2}, ["eve"]),
    ):
        reply = admin.get("/users/", **query)
        assert [each["username"] for each in reply.json["results"]] == found, query
    for query in ({"ordering": "role"}, {"role": "KING"}, {"name": "ada"}):
        assert admin.get("/users/", **query).status == 400, query


def test_a_role_counts_from_the_next_request_on(network, admin):
    add(admin, "ada")
    place = network.places["a"]
    client = place.shows(login(place, "ada", NEW).json["token"])
    assert client.get("/users/").status == 403
    assert admin.put("/users/ada/", {"role": "ADMIN"}).json["role"] == "ADMIN"
    assert client.get("/users/").status == 200
    assert admin.put("/users/ada/", {"role": "KING"}).status == 400
    assert admin.put("/users/nobody/", {"role": "ADMIN"}).status == 404


def test_the_last_admin_stays(admin):
    for reply in (admin.call("DELETE", "/users/admin-main/"), admin.put("/users/admin-main/", {"role": "USER"})):
        assert (reply.status, "last admin" in reply.json["detail"]) == (409, True)
    add(admin, "eve", "ADMIN")
    assert admin.call("DELETE", "/users/admin-main/").status == 204
    assert admin.get("/users/").status == 401


def test_who_is_removed_is_out(network, admin):
    add(admin, "ada")
    place = network.places["a"]
    client = place.shows(login(place, "ada", NEW).json["token"])
    reply = admin.call("DELETE", "/users/ada/")
    assert (reply.status, reply.body) == (204, b"")
    assert client.get("/function/").status == 401
    assert admin.call("DELETE", "/users/ada/").status == 404


def test_ones_own_password(network, admin):
    place, path = network.places["a"], "/users/admin-main/password/"
    wrong = admin.put(path, {"old_password": "something else", "password": NEW})
    assert wrong.status == 400
    assert admin.put(path, {"password": NEW}).status == 400
    assert admin.put(path, {"old_password": network.PASSWORD, "password": "short"}).status == 400
    add(admin, "ada")
    assert admin.put("/users/ada/password/", {"old_password": NEW, "password": NEW + "s"}).status == 403
    assert admin.put(path, {"old_password": network.PASSWORD, "password": NEW}).json["username"] == "admin-main"
    assert admin.get("/users/").status == 401  # every token has ended
    assert login(place, "admin-main", network.PASSWORD).status == 400
    assert login(place, "admin-main", NEW).status == 200


def test_an_api_token_changes_no_password(network, admin):
    issued = admin.post("/api-token/", {"expires_at": "2030-06-01T12:00:00Z"}).json["token"]
    client = network.places["a"].shows(issued)
    given = {"old_password": network.PASSWORD, "password": NEW}
    assert client.put("/users/admin-main/password/", given).status == 403


def test_guessing_the_old_password_is_slowed(network, admin):
    network.clock.step = 0
    given = {"old_password": "a guess in the dark", "password": NEW}
    replies = [admin.put("/users/admin-main/password/", given) for _ in range(100)]
    assert {each.status for each in replies} == {400, 429}


def test_a_reset_is_used_once_by_whom_it_is_for(network, admin):
    add(admin, "ada")
    add(admin, "bob", Role.AUDITOR.value)
    anyone = network.places["a"].anyone
    token = admin.post("/users/ada/reset_password/").json["reset_password_token"]
    assert anyone.get("/users/ada/verify_token/", token=token).json == {}
    assert anyone.get("/users/bob/verify_token/", token=token).status == 401
    for path, given, status in (
        ("/users/bob/set_password/", {"token": token, "password": NEW + "!"}, 401),
        ("/users/ada/set_password/", {"token": "x", "password": NEW + "!"}, 401),
        ("/users/ada/set_password/", {"token": token, "password": "short"}, 400),
        ("/users/ada/set_password/", {"token": token, "password": NEW + "!"}, 200),
        ("/users/ada/set_password/", {"token": token, "password": NEW + "?"}, 401),
    ):
        assert anyone.post(path, given).status == status, (path, given)
    assert anyone.get("/users/ada/verify_token/", token=token).status == 401
    assert login(network.places["a"], "ada", NEW + "!").status == 200
    assert admin.post("/users/nobody/reset_password/").status == 404


def test_users_of_another_channel_are_not_there(network, admin):
    add(admin, "ada")
    network.channel("other", ["a"])
    outside = network.client(channel="other")
    assert [each["username"] for each in outside.get("/users/").json["results"]] == ["admin-other"]
    assert outside.get("/users/ada/").status == 404
    assert outside.call("DELETE", "/users/ada/").status == 404
