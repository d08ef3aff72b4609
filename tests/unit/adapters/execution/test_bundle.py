"""What bundles, openers and performance files say."""

import json
import sys
from contextlib import suppress
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.adapters.execution import bundle, opener, performance
from comity.values.errors import DecodeError, InvalidInput

NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
DOTTED = st.lists(NAME, min_size=1, max_size=3).map(".".join)


UNKNOWN = st.text().filter(lambda name: name not in bundle.Function.__struct_fields__)


@given(DOTTED, DOTTED, st.dictionaries(UNKNOWN, st.none() | st.integers() | st.text()))
def test_the_entry_is_read_and_what_is_not_known_is_ignored(module, name, more):
    text = json.dumps({**more, "entry": f"{module}:{name}"}).encode()
    assert bundle.decode(text).entry == f"{module}:{name}"


@pytest.mark.parametrize(
    "text",
    [
        *('{"entry": "work"}', '{"entry": "work:f\\n"}', '{"entry": ".work:f"}', '{"entry": "work:f()"}'),
        *('{"entry": "a/b:f"}', '{"entry": 3}', "{}", "[]", "", '{"entry": "wörk:f"}', "[" * 100_000),
        '{"entry": "work:f"}' + " " * bundle.LONGEST,
    ],
)
def test_any_other_entry_is_refused(text):
    with pytest.raises(DecodeError, match=r"function\.json"):
        bundle.decode(text.encode())


@given(st.binary(max_size=200) | st.text().map(str.encode) | st.from_regex(r'\{"entry": .*\}').map(str.encode))
def test_foreign_bytes_are_no_function(text):
    with suppress(DecodeError):
        bundle.decode(text)


def test_a_bundle_without_its_description_is_refused(tmp_path):
    with pytest.raises(DecodeError, match="at its root"):
        bundle.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"), [("0.25", 0.25), ("-3", -3.0), ('{"all": 1e-3}', 0.001), (' {"all":2} ', 2)]
)
def test_performances(tmp_path, text, value):
    (tmp_path / "score").write_text(text)
    assert performance.read(tmp_path / "score") == value


def test_a_performance_may_be_nothing(tmp_path):
    (tmp_path / "score").write_text(json.dumps(float("nan")))
    assert isnan(performance.read(tmp_path / "score"))


@pytest.mark.parametrize(
    "text", ["", "true", '"1"', "-NaN", "Infinity", "1e999", "[1]", "{}", '{"all": null}', "null", "1 2", "1" * 5000]
)
def test_anything_else_is_no_performance(text):
    with pytest.raises(DecodeError):
        performance.decode(text.encode())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_a_performance(value):
    assert performance.decode(json.dumps(value).encode()) == value
    assert performance.decode(json.dumps({"all": value}).encode()) == value


@given(st.binary(max_size=100) | st.text(alphabet='{}":al0123456789.eE+- []').map(str.encode))
def test_foreign_bytes_are_no_performance(text):
    with suppress(DecodeError):
        performance.decode(text)


ONE = """
class Rows:
    def get_data(self, folders): return folders
    def fake_data(self, n_samples): return [n_samples]
"""
ABSTRACT = "from abc import ABC, abstractmethod\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, opener.MODULE, None)

    def write_and_load(text, name="opener.py"):
        (tmp_path / name).write_text(text)
        return opener.load(tmp_path / name)

    return write_and_load


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        ONE + "Also = Rows\nclass Other:\n    def get_data(self): ...",
        "from collections import Counter\n" + ONE,
        "from tests_have_one import Opener\n" + ONE.replace("Rows:", "Rows(Opener):"),
    ],
)
def test_an_opener_is_the_one_class_of_its_file(load, monkeypatch, tmp_path, text):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "tests_have_one.py").write_text(ONE.replace("Rows", "Opener"))
    opened = load(text)
    assert type(opened).__name__ == "Rows"
    assert opened.get_data(["b", "a"]) == ["b", "a"]
    monkeypatch.delitem(sys.modules, "tests_have_one", raising=False)


@pytest.mark.parametrize(("text", "names"), [("", "none"), (ONE + ONE.replace("Rows", "Columns"), "Columns, Rows")])
def test_none_or_several_are_refused(load, text, names):
    with pytest.raises(InvalidInput, match=names):
        load(text)


def test_a_file_that_is_not_python_is_refused(load):
    with pytest.raises(InvalidInput, match="no Python file"):
        load(ONE, name="opener.txt")
