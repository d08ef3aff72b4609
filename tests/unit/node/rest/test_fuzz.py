"""Schemathesis asks for whatever the API's document allows, and for what it does not: nothing fails, and answers are
what the document says. `make fuzz` asks longer."""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from comity.node.accounts.roles import Role
from comity.node.rest.described import described

HOST = "http://node.example"
KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

SCHEMA = schemathesis.openapi.from_dict(described())
OPERATIONS = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}
ROUNDS = settings.default.max_examples // 10
"""Ten in the suite; `make fuzz` has a profile of its own."""

fuzzed = settings(
    max_examples=ROUNDS,
    derandomize=settings.get_current_profile_name() != "fuzz",
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_the_document_is_one():
    assert len(OPERATIONS) > 50
    SCHEMA.validate()


@pytest.fixture(scope="module")
def keys(steady) -> dict[str, list[str]]:
    """Of things of every kind, of both organizations."""
    found: dict[str, list[str]] = {}
    for owner in "ab":
        dataset, function, plan = (made(owner)["key"] for made in (steady.dataset, steady.function, steady.plan))
        steady.build(function)
        (task,) = steady.add(steady.task(plan, function, owner), owner=owner)
        made = {"data_manager": dataset, "function": function, "compute_plan": plan, "task": task["key"]}
        made |= {"data_sample": steady.sample(dataset, owner), "model": steady.run(task["key"])}
        made |= {"task_profiling": task["key"], "logs": task["key"]}
        for noun, key in made.items():
            found.setdefault(noun, []).append(key)
    place = steady.places["a"]
    place.accounts.add(place.numbers["main"], "somebody", password=steady.PASSWORD, role=Role.STEWARD)
    return {**found, "users": ["somebody"]}


@pytest.mark.parametrize("label", OPERATIONS)
def test_whatever_is_asked_is_answered_as_documented(steady, keys, label):
    operation, archive = OPERATIONS[label], steady.zipped(steady.ARCHIVE)

    @fuzzed
    @given(
        st.sampled_from(GenerationMode).flatmap(lambda mode: operation.as_strategy(generation_mode=mode)),
        st.booleans(),
    )
    def ask(case: Any, inside: bool) -> None:
        """For a thing that is there, or whatever the case names."""
        if inside and "{key}" in operation.path:
            here = keys[operation.path.split("/")[1]]
            case.path_parameters["key"] = here[crc32(case.id.encode()) % len(here)]
        if inside and isinstance(case.body, dict) and case.media_type == "multipart/form-data":
            case.body |= dict.fromkeys(case.body.keys() & {"file"}, archive)
        every = [key for each in keys.values() for key in each]
        case.query, case.body = known(case.query, every), known(case.body, every)
        given = case.as_transport_kwargs(base_url=HOST)
        request = requests.Request(**{name: given[name] for name in given.keys() & FIELDS}).prepare()
        case.validate_response(sent(steady.client(), request), checks=CHECKS)

    ask()


FIELDS = {"method", "url", "headers", "params", "data", "json", "files", "cookies"}


def sent(client: Any, request: requests.PreparedRequest) -> Response:
    body = request.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    reply = client.call(request.method, request.path_url, body, request.headers.get("content-type", ""))
    headers = {name: [value] for name, value in reply.headers.items()}
    return Response(reply.status, headers, reply.body, request, 0.0, False)


def known(value: Any, keys: list[str]) -> Any:
    """The same with keys of things that are there, and names of organizations, for most that are made up."""
    if isinstance(value, dict):
        return {name: known(each, keys) for name, each in value.items()}
    if isinstance(value, list):
        return [known(each, keys) for each in value]
    if isinstance(value, str) and KEY.fullmatch(value):
        chosen = crc32(value.encode()) % (len(keys) + 1)
        return value if chosen == len(keys) else keys[chosen]
    return value
