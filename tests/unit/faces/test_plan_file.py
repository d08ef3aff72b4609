"""Plans as people write them, and the tasks they become."""

import json
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from comity.faces.plan_file import read, tasks
from comity.values.errors import DecodeError, InvalidInput, NotFound

NOUNS = {
    ("function", "train"): {
        "key": "f1",
        "inputs": {
            "opener": {"kind": "ASSET_DATA_MANAGER"},
            "datasamples": {"kind": "ASSET_DATA_SAMPLE"},
            "shared": {"kind": "ASSET_MODEL"},
        },
        "outputs": {"model": {"kind": "ASSET_MODEL"}},
    },
    ("function", "average"): {
        "key": "f2",
        "inputs": {"models": {"kind": "ASSET_MODEL"}},
        "outputs": {"shared": {"kind": "ASSET_MODEL"}, "spread": {"kind": "ASSET_PERFORMANCE"}},
    },
    ("data_manager", "heart"): {"key": "d1", "owner": "a", "data_sample_keys": ["s1", "s2"]},
    ("data_manager", "lung"): {"key": "d2", "owner": "b", "data_sample_keys": ["s3"]},
}

PLAN = """
name = "study"
tag = "pilot"

[tasks.a]
function = "train"
data = "heart"
samples = ["s2"]

[tasks.b]
function = "train"
data = "lung"
inputs.shared = "0c9f0d4e-0000-4000-8000-000000000000"
transient = ["model"]

[tasks.mean]
function = "average"
worker = "c"
inputs.models = ["a.model", "b.model"]
outputs.shared = ["d"]
metadata.round_idx = "1"

[tasks.again]
function = "train"
data = "heart"
inputs.shared = "mean.shared"
outputs.model = "public"
"""


def found(noun, name):
    return NOUNS[noun, name]


@pytest.fixture
def plan(tmp_path):
    def made(text, name="plan.toml"):
        path = tmp_path / name
        path.write_text(text)
        return read(path)

    return made


def test_a_plan_becomes_tasks(plan):
    read = plan(PLAN)
    a, b, mean, again = tasks(read, "p", found)
    assert (read.name, read.tag) == ("study", "pilot")
    assert len({UUID(each["key"]) for each in (a, b, mean, again)}) == 4
    assert [(each["tag"], each["worker"], each["function_key"]) for each in (a, b, mean, again)] == [
        ("a", "a", "f1"),
        ("b", "b", "f1"),
        ("mean", "c", "f2"),
        ("again", "a", "f1"),
    ]
    assert a["inputs"] == [
        {"identifier": "opener", "asset_key": "d1"},
        {"identifier": "datasamples", "asset_key": "s2"},
    ]
    assert b["inputs"] == [
        {"identifier": "opener", "asset_key": "d2"},
        {"identifier": "datasamples", "asset_key": "s3"},
        {"identifier": "shared", "asset_key": "0c9f0d4e-0000-4000-8000-000000000000"},
    ]
    assert mean["inputs"] == [
        {"identifier": "models", "parent_task_key": each["key"], "parent_task_output_identifier": "model"}
        for each in (a, b)
    ]
    assert mean["metadata"] == {"round_idx": "1"}
    assert [each["compute_plan_key"] for each in (a, b, mean, again)] == ["p"] * 4


def test_an_output_goes_to_those_who_need_it_and_those_who_are_named(plan):
    a, b, mean, again = (each["outputs"] for each in tasks(plan(PLAN), "p", found))
    public = {"public": True, "authorized_ids": []}
    assert a == {"model": {"permissions": {"public": False, "authorized_ids": ["c"]}, "transient": False}}
    assert b == {"model": {"permissions": {"public": False, "authorized_ids": ["c"]}, "transient": True}}
    assert mean["shared"]["permissions"] == {"public": False, "authorized_ids": ["a", "d"]}
    assert mean["spread"]["permissions"] == public
    assert again["model"]["permissions"] == public


def test_json_says_the_same(plan):
    text = json.dumps({"name": "study", "tasks": {"a": {"function": "train", "data": "heart"}}})
    toml = 'name = "study"\ntasks.a = {function = "train", data = "heart"}\n'
    assert plan(text, "plan.json") == plan(toml)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ('function = "average"', "task t has no data; name its worker"),
        ('function = "train"\ndata = "heart"\nworker = "b"', "task t uses data at a, so b cannot be its worker"),
        ('function = "average"\nworker = "c"\ninputs.model = "t.shared"', "'models'"),
        ('function = "average"\nworker = "c"\noutputs.share = ["a"]', "'shared'"),
        ('function = "average"\nworker = "c"\ntransient = ["share"]', "'shared'"),
        ('function = "average"\nworker = "c"\ninputs.models = ["s.shared"]', "there is no task 's'"),
    ],
)
def test_mistakes_are_named(plan, task, says):
    with pytest.raises(InvalidInput, match=says):
        tasks(plan(f'name = "study"\n[tasks.t]\n{task}\n'), "p", found)


@pytest.mark.parametrize(
    "text",
    ["", "name = 1", "name =", 'name = "a"\n[tasks.t]\nfunction = "f"\nworkr = "a"', 'name = "a"\ntasks = []', "\x00"],
)
def test_what_is_no_plan_is_refused(plan, text):
    with pytest.raises(DecodeError, match="cannot be read as a plan"):
        plan(text)


@pytest.mark.parametrize("data", [b"\xff", b"{" * 100_000, b"[" * 100_000])
def test_what_is_no_text_is_refused(tmp_path, data):
    for name in ("plan.toml", "plan.json"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DecodeError, match="cannot be read as a plan"):
            read(tmp_path / name)


FIELDS = ["name", "tasks", "function", "data", "worker", "samples", "inputs", "outputs", "models", "shared", "model"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "heart", "train", "a.model", "public", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=15,
)


def becomes(path, data):
    """What nobody means as a plan is refused by name, when it is read or when its tasks are made."""

    def found(noun, name):
        if (noun, name) not in NOUNS:
            raise NotFound(f"there is no {noun} {name}")
        return NOUNS[noun, name]

    path.write_bytes(data)
    with suppress(DecodeError, InvalidInput, NotFound):
        assert json.dumps(tasks(read(path), "p", found))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True)
@given(
    st.sampled_from(["plan.toml", "plan.json"]), st.binary(max_size=80) | VALUES.map(lambda v: json.dumps(v).encode())
)
@example("plan.json", b'{"name":' + b"[" * 5000)
@example("plan.toml", b"a=" + b"[" * 5000)
@example("plan.toml", b"a=9" * 5000)
def test_any_bytes_are_a_plan_or_refused(tmp_path, name, data):
    becomes(tmp_path / name, data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True)
@given(
    st.integers(0, len(PLAN)), st.integers(0, 12), st.sampled_from(["", ".", '"', "[", "a.model", "[tasks.x]\n", "\0"])
)
def test_any_change_is_a_plan_or_refused(tmp_path, at, cut, more):
    becomes(tmp_path / "plan.toml", (PLAN[:at] + more + PLAN[at + cut :]).encode())
