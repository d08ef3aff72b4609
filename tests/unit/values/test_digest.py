"""Digests and canonical JSON, with the examples of RFC 8785."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.values.digest import canonical, digest
from comity.values.errors import InvalidInput


def test_sha256_of_fips_180() -> None:
    assert digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(bytearray(b"abc")) == digest(memoryview(b"abc")) == digest(b"abc")


def test_the_example_of_section_3_2_2() -> None:
    document = json.loads(r"""{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }""")
    expected = (
        r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(document) == expected.encode()


def test_the_order_of_section_3_2_3_is_that_of_utf_16() -> None:
    ordered = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(dict.fromkeys(sorted(ordered), 0)))) == ordered


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_the_numbers_of_appendix_b(bits: str, text: str) -> None:
    assert canonical(struct.unpack(">d", bytes.fromhex(bits))[0]) == text.encode()


text = st.text(st.characters(exclude_categories=["Cs"]))
# a whole float from 2^53 to 1e21 is written as an integer, which no reader may take for exact
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2**53) + 1, 2**53 - 1) | st.floats(1e21, 1e300)
documents = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(documents)
def test_canonical_json_says_the_same_and_is_its_own_canonical_form(document: object) -> None:
    assert json.loads(canonical(document)) == document
    assert canonical(json.loads(canonical(document))) == canonical(document)


def _deep() -> object:
    made: list[object] = []
    for _ in range(100_000):
        made = [made]
    return made


@pytest.mark.parametrize(
    "document",
    [
        float("nan"),
        float("inf"),
        2**53,
        {1: 2},
        b"bytes",
        np.ones(1),
        np.int64(1),
        "\ud800",
        {"\ud800": 1},
        {1.5},
        _deep(),
    ],
    ids=[
        "nan",
        "inf",
        "2^53",
        "number-key",
        "bytes",
        "array",
        "numpy-int",
        "surrogate",
        "surrogate-key",
        "set",
        "deep",
    ],
)
def test_what_is_no_plain_json_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput, match="canonical JSON"):
        canonical(document)
