"""Schemathesis asks a hub, as a member, for whatever its document allows, and for what it does not: nothing fails, and
answers are what the document says. `make fuzz` asks longer."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from comity.domain.entry import canonical, sign
from comity.domain.request import authorization
from comity.hub.routes import described

PARCEL = "0" * 31 + "1"


def is_no_failure(ctx: Any, response: Response, case: Any) -> None:
    """A hub that is asked for more than a quota or its disk has room for says so, 503: that is no failure."""
    if not (response.status_code == 503 and response.json()["error"] == "Unavailable"):
        schemathesis.checks.not_a_server_error(ctx, response, case)


CHECKS = [
    is_no_failure,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

SCHEMA = schemathesis.openapi.from_dict(described())
OPERATIONS = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}
ROUNDS = settings.default.max_examples // 5

fuzzed = settings(
    max_examples=ROUNDS,
    derandomize=settings.get_current_profile_name() != "fuzz",
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

FIELDS = {"method", "url", "headers", "params", "data", "json", "files", "cookies"}


def test_the_document_is_one():
    assert len(OPERATIONS) == 16
    SCHEMA.validate()


@pytest.fixture(scope="module")
def steady(open_network, tmp_path_factory):
    with open_network(tmp_path_factory.mktemp("steady")) as network:
        network.request(network.link("a"), "POST", "/mail", b'{"recipient":"b","body":"sealed"}')
        yield network


@pytest.fixture
def parcel(steady, label) -> str:
    """Of a's, for b; it is all there, but for who asks to send it."""
    a, here = steady.link("a"), f"/parcels/{PARCEL}"
    steady.request(a, "DELETE", here)
    steady.request(a, "POST", here, b'{"size":5,"recipients":["b"]}')
    if not label.startswith("PUT"):
        steady.request(a, "PUT", f"{here}/bytes", b"bytes")
    return PARCEL


@pytest.mark.parametrize("label", OPERATIONS)
def test_whatever_is_asked_is_answered_as_documented(steady, parcel, label):
    operation = OPERATIONS[label]

    @fuzzed
    @given(
        st.sampled_from(GenerationMode).flatmap(lambda mode: operation.as_strategy(generation_mode=mode)),
        st.sampled_from("ab"),
        st.booleans(),
    )
    def ask(case: Any, member: str, inside: bool) -> None:
        """Of a parcel, an entry, a recipient that are there, or whatever the case names."""
        if inside and "{parcel}" in operation.path:
            case.path_parameters["parcel"] = parcel
        if inside and isinstance(case.body, dict):
            case.body |= {
                name: value for name, value in (("recipient", "b"), ("recipients", ["b"])) if name in case.body
            }
        if operation.path == "/news":
            case.query = {name: value for name, value in (case.query or {}).items() if name != "wait"}
        given = case.as_transport_kwargs(base_url="https://hub")
        request = requests.Request(**{name: given[name] for name in given.keys() & FIELDS}).prepare()
        if inside and operation.path == "/entries":
            event, texts = steady.plan(case.id)
            request.body = canonical([sign(steady.statement(member, event), steady.identity(member), texts)])
        case.validate_response(sent(steady, member, request), checks=CHECKS)

    ask()


def sent(network: Any, member: str, request: requests.PreparedRequest) -> Response:
    """As the member's node signs it."""
    body = request.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    link, target = network.link(member), request.path_url
    header = authorization(link.sent(request.method, target, body), link.identity)
    reply = network.run(network.call(request.method, target, body, authorization=header))
    return Response(reply.status, {"content-type": [reply.kind]}, reply.content, request, 0.0, False)
