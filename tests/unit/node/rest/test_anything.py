"""Whatever is sent to whatever route: it is answered, and never by a failure of the node."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.node.rest.routes import ROUTES

KEY = "11111111-2222-4333-8444-555555555555"
WORDS = ["", "a", KEY, "-creation_date", "2024-01-01", "1", "[]", "x" * 300, "\x00", "é", "%", "☃", "null", "-1", "1e9"]

texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.sampled_from(sorted({name for route in ROUTES for name in route.parameters})) | texts
FIELDS = """
key name tasks inputs outputs path paths permissions public authorized_ids logs_permission metadata tag worker
compute_plan_key function_key identifier data_manager_keys expires_at note scopes reason
"""
fields = st.sampled_from(FIELDS.split())
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=12,
)
bodies = st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode())
KINDS = ["", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
UNAVAILABLE = {501, 503}


@pytest.fixture
def keys(network):
    """One thing of every kind that has a key in a path."""
    dataset, function, plan = network.dataset()["key"], network.function()["key"], network.plan()["key"]
    network.build(function)
    (task,) = network.add(network.task(plan, function))
    made = {"data_manager": dataset, "function": function, "compute_plan": plan, "task": task["key"]}
    return {**made, "data_sample": network.sample(dataset), "model": network.run(task["key"])}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=500)
@given(
    st.sampled_from(ROUTES),
    st.none() | texts,
    st.dictionaries(names, texts, max_size=3),
    bodies,
    st.sampled_from(KINDS),
)
def test_anything_is_answered(network, keys, route, key, query, body, kind):
    key = keys.get(route.path.split("/")[1], "-") if key is None else key
    path = route.path.replace("{key}", quote(key, safe="") or "-")
    reply = network.client().call(route.method, f"{path}?{urlencode(query)}", body, kind)
    assert reply.status < 500 or (reply.status in UNAVAILABLE and "detail" in reply.json), reply
    if reply.status >= 400 and reply.status != 404:
        assert reply.json
