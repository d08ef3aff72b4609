"""Every route asks for what its row in the table says, and nothing is served without a row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comity.node.accounts.roles import RIGHTS, Right, Role
from comity.node.rest.routes import ROUTES, Route

# Substra 1.0's stock client, release 1.0.0: all that it calls.
STOCK = """
POST /api-token-auth/, DELETE /active-api-tokens/, GET /info/, GET /organization/,
POST /data_manager/, GET /data_manager/, GET /data_manager/{key}/, PUT /data_manager/{key}/,
GET /data_manager/{key}/opener/, GET /data_manager/{key}/description/,
POST /data_sample/, GET /data_sample/, GET /data_sample/{key}/, POST /data_sample/bulk_update/,
POST /function/, GET /function/, GET /function/{key}/, PUT /function/{key}/,
GET /function/{key}/file/, GET /function/{key}/description/,
POST /compute_plan/, GET /compute_plan/, GET /compute_plan/{key}/, PUT /compute_plan/{key}/,
POST /compute_plan/{key}/cancel/, GET /compute_plan/{key}/perf/,
POST /task/bulk_create/, GET /task/, GET /task/{key}/, GET /task/{key}/input_assets/,
GET /task/{key}/output_assets/, GET /task/{key}/logs/,
GET /model/, GET /model/{key}/, GET /model/{key}/file/
"""

UNKNOWN = "11111111-2222-4333-8444-555555555555"


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def served(app: Any) -> set[str]:
    return {f"{method} {route.path}" for route in app.routes for method in route.methods}


def asked(client: Any, route: Route) -> Any:
    """A request that is whole but for its body."""
    return client.call(route.method, route.path.replace("{key}", UNKNOWN), b"{}", "application/json")


def test_the_stock_client_finds_every_route():
    pairs = {each.strip() for each in STOCK.replace("\n", " ").split(",")}
    assert len(pairs) == 35
    assert pairs <= {named(route) for route in ROUTES}


def test_every_route_has_a_rule(network):
    app = network.places["a"].app
    assert served(app) == {named(route) for route in ROUTES}
    app.add_api_route("/new/", lambda: {}, methods=["GET"])
    assert served(app) - {named(route) for route in ROUTES} == {"GET /new/"}  # so that this test can fail


@pytest.mark.parametrize("route", [each for each in ROUTES if isinstance(each.needs, Right)], ids=named)
def test_a_right_is_asked_for(network, route):
    place = network.places["a"]
    assert asked(place.anyone, route).status == 401
    for role in Role:
        reply = asked(place.client(role), route)
        assert (reply.status == 403) == (route.needs not in RIGHTS[role]), (role, reply.body)
        if reply.status == 403:
            assert f"this needs the right '{route.needs.value}'" in reply.json["detail"]


@pytest.mark.parametrize("route", [each for each in ROUTES if each.needs == "user"], ids=named)
def test_any_user_will_do(network, route):
    assert asked(network.places["a"].anyone, route).status == 401
    assert asked(network.places["a"].client(Role.AUDITOR), route).status in (200, 400, 404)


@pytest.mark.parametrize("route", [each for each in ROUTES if str(each.needs).startswith("anyone")], ids=named)
def test_nobody_is_asked_for(network, route):
    assert asked(network.places["a"].anyone, route).status in (200, 400)


@pytest.mark.parametrize(("scheme", "token"), [("Token", "nobody"), ("Token", "\x7f"), ("Basic", "YTpi"), ("", "x")])
def test_a_wrong_token_is_no_token(network, scheme, token):
    client = network.places["a"].shows(token, scheme)
    for path in ("/function/", "/info/"):
        reply = client.get(path)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Token"
        assert set(reply.json) == {"detail"}


def test_a_token_with_few_scopes_does_little(network):
    new = {"note": "ci", "expires_at": "2030-01-01T00:00:00Z", "scopes": ["read"]}
    token = network.client().post("/api-token/", new).json["token"]
    for scheme in ("Token", "Bearer"):
        client = network.places["a"].shows(token, scheme)
        assert client.get("/function/").status == 200
        assert client.post("/compute_plan/", {"key": UNKNOWN, "name": "p"}).status == 403


def test_the_document_names_every_route(network):
    document = network.places["a"].anyone.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert found == {named(route) for route in ROUTES}
    for path, methods in document["paths"].items():
        for method in methods.values():
            names = [each["name"] for each in method.get("parameters", []) if each["in"] == "path"]
            assert names == (["key"] if "{key}" in path else [])
    assert "http" not in json.dumps(document["paths"])


def test_no_page_is_loaded_from_elsewhere(network):
    for path in ("/docs", "/redoc"):
        assert network.places["a"].anyone.get(path).status == 404


def test_another_channel_is_another_world(network):
    network.channel("other", ["a"])
    dataset, function, plan = network.dataset(), network.function(), network.plan()
    sample = network.sample(dataset["key"])
    network.build(function["key"])
    (task,) = network.add(network.task(plan["key"], function["key"]))
    model = network.run(task["key"])
    keys = {
        "data_manager": dataset["key"],
        "data_sample": sample,
        "function": function["key"],
        "compute_plan": plan["key"],
        "task": task["key"],
        "model": model,
    }
    inside, outside = network.client(), network.client(channel="other")
    for route in ROUTES:
        noun = route.path.split("/")[1]
        if "{key}" in route.path and route.method == "GET" and route.path != "/task/{key}/logs/":
            path = route.path.replace("{key}", keys[noun])
            assert inside.get(path).status == 200, path
            assert outside.get(path).status == 404, path
        elif noun in keys and route.method == "GET" and "{key}" not in route.path:
            assert inside.get(route.path).json["count"] == 1
            assert outside.get(route.path).json["count"] == 0
    assert outside.put(f"/function/{function['key']}/", {"name": "mine"}).status == 404
    assert outside.post(f"/compute_plan/{plan['key']}/cancel/").status == 404
    assert [each["id"] for each in outside.get("/organization/").json] == ["a"]
    assert outside.get("/info/").json["channel"] == "other"
