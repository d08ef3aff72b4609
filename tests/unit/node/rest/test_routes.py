"""Every route asks for what its row in the table says, and nothing is served without a row."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256

import pytest

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


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_the_stock_client_finds_every_route():
    pairs = {each.strip() for each in STOCK.replace("\n", " ").split(",")}
    assert len(pairs) == 35
    assert pairs <= {named(route) for route in ROUTES}


@pytest.mark.parametrize(("scheme", "token"), [("Token", "nobody"), ("Token", "\x7f"), ("Basic", "YTpi"), ("", "x")])
def test_a_wrong_token_is_no_token(network, scheme, token):
    client = network.places["a"].shows(token, scheme)
    for path in ("/function/", "/info/"):
        reply = client.get(path)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Token"
        assert set(reply.json) == {"detail"}


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


def test_the_page_loads_nothing(network):
    reply = network.places["a"].anyone.get("/docs")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    style = re.fullmatch(r".*<style>(.*)</style>.*", reply.body.decode(), re.DOTALL)
    allowed = b64encode(sha256(style[1].encode()).digest()).decode()
    policy = reply.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{allowed}';")
    assert not re.search(r"<script|<link|<img|src=|url\(|@import|https?:", reply.body.decode())
    for route in ROUTES:
        assert f"<code>{named(route)}</code>" in reply.body.decode()
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert network.places["a"].anyone.get(path).status == 404


def test_lists_are_of_one_channel(network):
    network.channel("other", ["a"])
    outside = network.client(channel="other")
    assert [each["id"] for each in outside.get("/organization/").json] == ["a"]
    assert outside.get("/info/").json["channel"] == "other"
