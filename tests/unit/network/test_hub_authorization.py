"""What each member may do to a parcel, a letter or an entry of a's for b, in a's channel and in another: every route.

`test_hub_routes` asks every route as somebody who is no member, or whose signature does not count.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from starlette.routing import Mount, Route

from comity.domain.entry import canonical, sign
from comity.domain.joining import Token, write_join

# "a elsewhere" is the same organization in another channel, z a member of that one alone. "in" and "out": whether the
# answer holds it.
RULES = """
route                          a    b    c    a elsewhere  z
GET /live                      200  200  200  200          200
GET /ready                     200  200  200  200          200
GET /metrics                   401  401  401  401          401
GET /openapi.json              200  200  200  200          200
GET /docs                      200  200  200  200          200
POST /join                     403  403  403  403          403
POST /entries                  in   in   in   out          out
POST /lost                     400  400  400  400          400
GET /news                      out  in   out  out          out
POST /mail                     200  200  200  403          403
GET /presence                  in   in   in   out          out
GET /parcels/{parcel}          200  200  404  404          404
POST /parcels/{parcel}         200  409  409  403          403
DELETE /parcels/{parcel}       gone gone here here         here
PUT /parcels/{parcel}/bytes    200  404  404  404          404
GET /parcels/{parcel}/bytes    200  200  404  404          404
"""
TABLE = {" ".join(line.split()[:2]): line.split()[2:] for line in RULES.strip().splitlines()[1:]}
CALLERS = (("a", "main"), ("b", "main"), ("c", "main"), ("a", "other"), ("z", "other"))
ANNOUNCED = b'{"size":5,"recipients":["b"]}'


def served(routes: Any, at: str = "") -> Iterator[str]:
    for route in routes:
        match route:
            case Route():
                yield from (f"{method} {at}{route.path}" for method in route.methods or ())
            case Mount():
                yield from served(route.routes, at + route.path)
            case _:
                yield f"{type(route).__name__} {at}{getattr(route, 'path', route)}"


@pytest.fixture(scope="module")
def steady(open_network, tmp_path_factory):
    with open_network(tmp_path_factory.mktemp("steady")) as network:
        network.request(network.link("c"), "GET", "/presence")
        yield network


def test_every_route_that_is_served_has_a_rule(steady):
    assert sorted(served(steady.app.routes)) == sorted(TABLE)


@pytest.mark.parametrize("rule", TABLE)
def test_what_each_member_may_do(steady, rule):
    found = [outcome(steady, rule, *caller) for caller in CALLERS]
    assert found == TABLE[rule]


def outcome(network: Any, rule: str, caller: str, channel: str) -> str:
    link, a = network.link(caller, channel), network.link("a")
    name, word = uuid.uuid4().hex, uuid.uuid4().hex
    method, path = rule.replace("{parcel}", name).split()
    network.request(a, "POST", f"/parcels/{name}", ANNOUNCED)
    network.request(a, "PUT", f"/parcels/{name}/bytes", b"byte" if method == "PUT" else b"bytes")
    letter = msgspec.json.encode({"recipient": "b", "body": word})
    match rule:
        case "POST /entries":
            event, texts = network.plan(word)
            body = canonical([sign(network.statement("a", event), network.identity("a"), texts)])
            reply = network.request(link, method, path, body)
            return "in" if "place" in reply.json[0] else "out"
        case "GET /news":
            network.request(a, "POST", "/mail", letter)
            reply = network.request(link, method, "/news?from=1000000")
            return "in" if word.encode() in reply.content else "out"
        case "GET /presence":
            return "in" if "c" in network.request(link, method, path).json else "out"
        case "DELETE /parcels/{parcel}":
            assert network.request(link, method, path).status == 200
            return "here" if network.request(a, "GET", path).status == 200 else "gone"
        case "POST /join":
            token = Token(url="", hub="", channel=link.channel, organization=caller, secret="guessed", expires=0)
            return str(network.run(network.call(method, path, write_join(token, network.identity(caller)))).status)
    bodies = {"/mail": letter, "/bytes": b"s", "/lost": b"{}"}
    body = bodies.get(path.replace(f"/parcels/{name}", ""), ANNOUNCED) if method != "GET" else b""
    target = f"{path}?offset=4" if method == "PUT" else path
    return str(network.request(link, method, target, body).status)
