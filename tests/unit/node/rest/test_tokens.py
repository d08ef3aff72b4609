"""Logging in and out, as the stock client does, and tokens for programs."""

from __future__ import annotations

from datetime import datetime

import pytest

from comity.node.accounts.throttle import MOST


def test_a_login_and_its_end(network):
    place = network.places["a"]
    place.client()
    made = place.anyone.form("/api-token-auth/", {"username": "admin-main", "password": network.PASSWORD})
    assert made.status == 200
    assert set(made.json) == {"id", "token", "created_at", "expires_at"}
    assert datetime.fromisoformat(made.json["expires_at"]).utcoffset() is not None
    client = place.shows(made.json["token"])
    assert client.get("/function/").status == 200
    assert client.call("DELETE", f"/active-api-tokens/?id={made.json['id']}").json == {"detail": "Token removed"}
    assert client.get("/function/").status == 401


@pytest.mark.parametrize("given", [("admin-main", "wrong"), ("nobody", "correct horse battery")])
def test_a_wrong_login(network, given):
    place = network.places["a"]
    place.client()
    reply = place.anyone.form("/api-token-auth/", {"username": given[0], "password": given[1]})
    assert reply.status == 400
    assert set(reply.json) == {"non_field_errors"}


@pytest.mark.parametrize("fields", [{}, {"username": "admin-main"}, {"password": "x"}])
def test_half_a_login(network, fields):
    reply = network.places["a"].anyone.form("/api-token-auth/", fields)
    assert reply.status == 400
    assert set(reply.json) == {"username", "password"} - set(fields)


def test_a_name_that_is_no_text(network):
    reply = network.places["a"].anyone.form("/api-token-auth/", {"username": "a\x00", "password": "x"})
    assert reply.status == 400


def test_guessing_is_slowed(network):
    network.clock.step = 0
    guess = {"username": "x", "password": "y"}
    replies = [network.places["a"].anyone.form("/api-token-auth/", guess) for _ in range(MOST + 1)]
    assert [each.status for each in replies] == [400] * MOST + [429]
    assert set(replies[-1].json) == {"detail"}


def test_tokens_for_programs(network):
    client = network.client()
    made = client.post("/api-token/", {"note": "ci", "expires_at": "2030-06-01T12:00:00Z"})
    assert made.status == 200
    assert set(made.json) == {"id", "note", "token", "created_at", "expires_at"}
    assert made.json["expires_at"] == "2030-06-01T12:00:00+00:00"
    held = client.get("/active-api-tokens/").json
    assert [(each["id"], each["note"]) for each in held["tokens"]] == [(made.json["id"], "ci")]
    assert [set(each) for each in held["implicit_tokens"]] == [{"id", "created_at", "expires_at"}]
    assert made.json["token"] not in str(held)
    assert network.places["a"].shows(made.json["token"]).get("/function/").status == 200
    for id, status in ((made.json["id"], 200), (made.json["id"], 404), ("x", 404), ("", 404)):
        assert client.call("DELETE", f"/active-api-tokens/?id={id}").status == status
    assert client.get("/active-api-tokens/").json["tokens"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"note": "ci"},
        {"note": "ci", "expires_at": "soon"},
        {"note": "ci", "expires_at": "2000-01-01T00:00:00Z"},
        {"note": "n" * 101, "expires_at": "2030-01-01T00:00:00Z"},
        {"note": "ci", "expires_at": "2030-01-01T00:00:00Z", "scopes": ["everything"]},
    ],
)
def test_a_token_that_cannot_be(network, body):
    assert network.client().post("/api-token/", body).status == 400
