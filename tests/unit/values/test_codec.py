"""The safetensors codec: what it writes, what it reads, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
import safetensors.numpy as safetensors
import safetensors.torch as of_torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from comity.values import codec, tree
from comity.values.codec import Limits, decode, digest, encode
from comity.values.errors import DecodeError, InvalidInput

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "<f2", "<f4", "<f8"]

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
    )
)
keys = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=8)
branches = st.recursive(
    st.dictionaries(keys, arrays, max_size=3),
    lambda inner: st.dictionaries(keys, st.one_of(arrays, inner), max_size=3),
    max_leaves=6,
)


def same(first: tree.Tree, second: tree.Tree) -> bool:
    left, right = tree.flatten(first), tree.flatten(second)
    return list(left) == list(right) and all(
        left[p].dtype == right[p].dtype and left[p].shape == right[p].shape and left[p].tobytes() == right[p].tobytes()
        for p in left
    )


def file(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def one(**changes: Any) -> bytes:
    """A file of one array, with a header changed."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
    return file({"w": entry}, np.ones(2, "<f4").tobytes())


SMALL = {
    "net": {"w": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.zeros(0)},
    "n": np.array(7),
    "on": np.array(True),
}


@given(branches)
def test_a_tree_comes_back_bit_for_bit(made: tree.Tree) -> None:
    data = encode(made)
    assert same(decode(data), made)
    assert encode(decode(data)) == data
    assert digest(made) == "sha256:" + hashlib.sha256(data).hexdigest()


@given(branches)
def test_the_safetensors_library_reads_what_we_write(made: tree.Tree) -> None:
    read = safetensors.load(encode(made))
    assert same(dict(sorted(read.items())), dict(tree.flatten(made)))


@given(st.dictionaries(keys.filter(lambda key: key != "__metadata__"), arrays, max_size=5))
def test_we_read_what_the_safetensors_library_writes(made: dict[str, np.ndarray]) -> None:
    data = safetensors.save({key: np.ascontiguousarray(leaf).reshape(leaf.shape) for key, leaf in made.items()})
    assert same(decode(data), made)


def test_metadata_is_dropped() -> None:
    assert same(decode(safetensors.save({"w": np.ones(2)}, metadata={"format": "pt"})), {"w": np.ones(2)})


@given(branches, st.randoms())
def test_the_order_of_insertion_does_not_matter(made: tree.Tree, random: Any) -> None:
    items = list(tree.flatten(made).items())
    random.shuffle(items)
    assert encode(tree.unflatten(dict(items))) == encode(made)


@given(branches)
def test_what_is_stored_as_bf16_comes_back_as_float32_and_is_the_safetensors_librarys(made: tree.Tree) -> None:
    floats = {path: leaf for path, leaf in tree.flatten(made).items() if leaf.dtype == np.float32}
    with np.errstate(invalid="ignore"):
        briefly = {path: np.asarray(leaf.view("<u4") & 0xFFFF0000) for path, leaf in floats.items()}
    rounded = tree.merge(made, tree.unflatten({path: bits.view("<f4") for path, bits in briefly.items()}))
    data = encode(rounded, as_bf16=floats)
    assert same(decode(data), rounded)
    assert encode(decode(data), as_bf16=floats) == data
    for path, leaf in of_torch.load(data).items():
        assert (leaf.dtype == torch.bfloat16) == (path in floats)
        if path in floats:
            assert leaf.float().numpy().tobytes() == tree.flatten(rounded)[path].tobytes()


@pytest.mark.parametrize("leaf", [np.ones(2), np.full(2, 1.001, np.float32)])
def test_what_is_not_rounded_is_not_stored_as_bf16(leaf: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"'w' holds .* not rounded to bfloat16"):
        encode({"w": leaf}, as_bf16=["w"])


def test_memory_layout_and_byte_order_do_not_matter() -> None:
    plain = np.arange(6, dtype="<f8").reshape(2, 3)
    for other in (np.asfortranarray(plain), plain.astype(">f8"), np.repeat(plain, 2, 1)[:, ::2]):
        assert encode({"w": other}) == encode({"w": plain})


@pytest.mark.parametrize(
    ("made", "pinned"),
    [
        ({}, "sha256:9bbcbf73561f6bc5d0a17ea6a2081feed2d1304e87602d8c502d9a5c4bd85576"),
        ({"w": np.array([1.0, 2.0], "<f4")}, "sha256:e4fe8418fa4ddcde46d121fbfca2bc84f3a55d73dd2bd77878cdb4ef5176f52f"),
        (SMALL, "sha256:6506230e86a92062b5fac296ff1cd8af843dc3a6e5d2330629a43a3027570069"),
    ],
)
def test_digests_never_change_and_are_those_of_files_packed_by_hand(made: tree.Tree, pinned: str) -> None:
    assert digest(made) == pinned


def test_the_file_byte_for_byte() -> None:
    header = (
        b'{"a/b":{"data_offsets":[0,2],"dtype":"U8","shape":[2]},"c":{"data_offsets":[2,3],"dtype":"BOOL","shape":[]}}'
    )
    expected = (112).to_bytes(8, "little") + header.ljust(112) + b"\x03\x04\x01"
    assert encode({"c": np.array(True), "a": {"b": np.array([3, 4], np.uint8)}}) == expected


def test_empty_branches_are_nothing() -> None:
    assert encode({"a": {}, "w": np.ones(1)}) == encode({"w": np.ones(1)})


def test_arrays_are_aligned_and_read_only_and_views_where_they_can_be() -> None:
    data = encode({"a": np.ones(3, np.uint8), "b": np.ones(5), "c": np.ones(5)})
    for leaf in tree.flatten(decode(data)).values():
        assert leaf.flags.aligned
        assert not leaf.flags.writeable
    aligned = np.asarray(decode(encode({"w": np.ones(1000)}))["w"])
    assert not aligned.flags.owndata


def test_a_bytearray_and_a_memoryview_are_read_as_well() -> None:
    data = encode(SMALL)
    for other in (bytearray(data), memoryview(data), memoryview(bytearray(data))):
        assert same(decode(other), SMALL)
        assert not any(leaf.flags.writeable for leaf in tree.flatten(decode(other)).values())


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"w": np.array([1, np.nan])}, "not finite"),
        ({"w": np.array(1j)}, "complex128"),
        ({"w": np.array(["a"])}, "<U1"),
        ({"w": [1.0]}, "a list"),
        ({"": np.ones(1)}, "names a part"),
        ({"a\n": np.ones(1)}, "cannot be the name"),
        ({"\ud800": np.ones(1)}, "cannot be the name"),
        ({"__metadata__": np.ones(1)}, "cannot be the name"),
        ({"x" * 600: np.ones(1)}, "600 bytes"),
        ({"a/b": np.ones(2), "a": {"b": np.ones(2)}}, "without a slash"),
    ],
)
def test_what_cannot_be_written_is_refused(made: Any, message: str) -> None:
    for write in (encode, digest):
        with pytest.raises(InvalidInput, match=message):
            write(made)


HOSTILE = {
    "no file": (b"", "0 bytes"),
    "half a length": (b"\0" * 7, "7 bytes"),
    "header longer than file": (b"\xff" * 8 + b"{}", "claims 18446744073709551615 bytes"),
    "no header": (b"\0" * 8, "must be a JSON object"),
    "header is a list": (file(b"[]"), "must be a JSON object"),
    "leading space": (file(b" {}"), "must be a JSON object"),
    "header is no JSON": (file(b"{nonsense"), "not well-formed JSON"),
    "header is no UTF-8": (file(b'{"\xff": 1}'), "not well-formed JSON"),
    "two documents": (file(b"{}{}"), "not well-formed JSON"),
    "a name twice": (file(b'{"w":{},"w":{}}'), "occurs twice"),
    "a field twice": (file(b'{"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), "occurs twice"),
    "nested beyond the stack": (file(b'{"w":' + b"[" * 100_000), "not well-formed JSON"),
    "a number of many digits": (file(b'{"w":' + b"9" * 10_000 + b"}"), "not well-formed JSON"),
    "NaN": (file(b'{"w":NaN}'), "only whole numbers"),
    "entry is no object": (file({"w": 3}), "needs dtype, shape and data_offsets"),
    "a field missing": (file({"w": {"dtype": "U8", "shape": [0]}}), "needs dtype, shape"),
    "a field too many": (one(more=1), "nothing else"),
    "BF16 of too many bytes": (one(dtype="BF16"), "does not fit"),
    "BF16 that is not finite": (
        file({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"\x80\x7f"),
        "not finite",
    ),
    "unknown dtype": (one(dtype="F8_E4M3"), "'F8_E4M3'"),
    "dtype is a list": (one(dtype=["F32"]), "none of"),
    "negative axis": (one(shape=[-2]), "whole numbers"),
    "fractional axis": (one(shape=[2.0]), "only whole numbers"),
    "boolean axis": (one(shape=[True]), "whole numbers"),
    "shape is a number": (one(shape=2), "whole numbers"),
    "axis beyond 63 bits": (one(shape=[2**63]), "whole numbers"),
    "product overflows 64 bits": (one(shape=[2**32, 2**32]), "limit of"),
    "empty but for an overflow": (one(shape=[0, 2**62, 2**62], data_offsets=[0, 0]), "limit of"),
    "product wraps to the size": (one(shape=[2**62 + 2]), "limit of"),
    "too many axes": (one(shape=[1] * 17 + [2]), "18 axes"),
    "shape does not fit": (one(shape=[3]), "does not fit"),
    "three offsets": (one(data_offsets=[0, 8, 8]), "does not fit"),
    "offsets reversed": (one(data_offsets=[8, 0]), "does not fit"),
    "hole at the beginning": (
        file({"w": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}, b"\0\0"),
        "byte 0 bel",
    ),
    "data missing": (one()[:-1], "there are 7 bytes"),
    "data left over": (one() + b"\0", "1 bytes of the data belong to no array"),
    "overlap": (
        file({n: {"dtype": "U8", "shape": [2], "data_offsets": [i, i + 2]} for i, n in enumerate("ab")}, b"\0" * 3),
        "begins at byte 1",
    ),
    "not finite": (file({"w": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}, b"\x00\x7c"), "not finite"),
    "a boolean of 2": (
        file({"w": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}, b"\x02"),
        "neither 0 nor 1",
    ),
    "array and branch": (
        file({n: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in ("a", "a/b")}),
        "do not make a tree",
    ),
    "branch and array": (
        file({n: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in ("a/b/c", "a/b")}),
        "do not make a tree",
    ),
    "empty key": (file({"a//b": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}), "empty name"),
    "control character": (file({"\0": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}), "cannot be the name"),
    "half a surrogate": (file(b'{"\\ud800":3}'), "cannot be the name"),
    "too deep": (file({"/".join("a" * 33): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}), "deeper"),
    "metadata is a list": (file({"__metadata__": ["pt"]}), "must map names to strings"),
    "metadata holds numbers": (file({"__metadata__": {"a": 1}}), "must map names to strings"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_in_a_sentence(data: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode(data)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(bytes=100), "the limit of 100 bytes"),
        (Limits(header=50), "the limit is 50"),
        (Limits(leaves=3), "4 arrays are more"),
        (Limits(depth=1), "limit of 1 keys"),
        (Limits(rank=1), "2 axes"),
        (Limits(name=3), "5 bytes, more than"),
    ],
)
def test_limits_are_kept(limits: Limits, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode(encode(SMALL), limits)


def _well_formed_or_refused(data: bytes) -> None:
    try:
        made = decode(data)
    except DecodeError:
        return
    tree.check(made, "decoded")
    assert same(decode(encode(made)), made)


@settings(max_examples=400)
@given(st.sampled_from(["change", "insert", "delete", "cut"]), st.data())
def test_any_damage_to_a_file_is_refused_or_leaves_a_well_formed_tree(kind: str, data: Any) -> None:
    valid = encode({**SMALL, "half": np.array([1.5, -2.0], "<f4")}, as_bf16=["half"])
    at, byte = data.draw(st.integers(0, len(valid) - 1)), data.draw(st.binary(min_size=1, max_size=1))
    after = {"change": byte + valid[at + 1 :], "insert": byte + valid[at:], "delete": valid[at + 1 :], "cut": b""}
    _well_formed_or_refused(valid[:at] + after[kind])


def test_every_shortened_file_is_refused() -> None:
    valid = encode(SMALL)
    for end in range(len(valid)):
        with pytest.raises(DecodeError):
            decode(valid[:end])


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


numbers = st.one_of(st.integers(-2, 20), st.sampled_from([2**31, 2**53, 2**63 - 1, 2**64]), st.booleans(), st.none())
entries = st.fixed_dictionaries(
    {
        "dtype": st.one_of(st.sampled_from([*codec.STORED, ""]), numbers),
        "shape": st.one_of(st.lists(numbers, max_size=4), numbers),
        "data_offsets": st.one_of(st.lists(numbers, max_size=3), numbers),
    }
)
names = st.one_of(keys, st.sampled_from(["", "/", "a/", "a/b", "a", "__metadata__"]))


@settings(max_examples=300)
@given(st.dictionaries(names, st.one_of(entries, numbers), max_size=4), st.binary(max_size=40))
def test_structured_hostile_headers_are_refused_or_read(header: dict[str, Any], body: bytes) -> None:
    _well_formed_or_refused(file(header, body))


def test_claims_cost_no_memory() -> None:
    huge = [one(shape=[2**40], data_offsets=[0, 2**42]), one(shape=[2**32], data_offsets=[0, 2**34]), b"\xff" * 64]
    tracemalloc.start()
    try:
        for data in huge:
            with pytest.raises(DecodeError):
                decode(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_digest_does_not_build_the_file() -> None:
    made = {name: np.zeros(2**17) for name in "abcdefgh"}
    tracemalloc.start()
    try:
        digest(made)
        assert tracemalloc.get_traced_memory()[1] < tree.nbytes(made) / 4
    finally:
        tracemalloc.stop()
