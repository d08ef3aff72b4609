"""Contributions in files are added as contributions in memory are, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comity as co
from comity.engine import adding
from comity.engine.adding import added, checked
from comity.values import codec, quantized, tree
from comity.values.contribution import Contribution, gather
from comity.values.errors import ComityError, DecodeError, InvalidInput


def write(folder, trees):
    for number, each in enumerate(trees):
        (folder / str(number)).write_bytes(codec.encode(each))
    return [(f"site{number}", folder / str(number)) for number in range(len(trees))]


def add(parts, into):
    with into.open("wb") as file:
        file.writelines(added(parts))


def check(path):
    assert b"".join(checked(path)) == path.read_bytes()


def of(contribution):
    return {"total": contribution.total, "weight": np.asarray(contribution.weight)}


@pytest.mark.parametrize("piece", [1, 3, 1 << 19])
def test_as_gather_adds_them(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(adding, "PIECE", piece)
    random = np.random.default_rng(7)
    parts = [
        Contribution(
            {
                "w": random.normal(size=(3, 4)).astype(np.float32),
                "net": {"b": random.normal(size=5), "n": random.integers(0, 9, 2, np.uint8)},
                "none": np.zeros((0, 2)),
                "one": np.asarray(random.normal()),
                "flags": random.random(4) < 0.5,
            },
            float(random.random()),
        )
        for _ in range(5)
    ]
    add(write(tmp_path, [of(each) for each in parts]), tmp_path / "sum")
    assert (tmp_path / "sum").read_bytes() == codec.encode(of(gather(parts)))
    check(tmp_path / "sum")


@pytest.mark.parametrize("piece", [1, 3, 1 << 19])
@pytest.mark.parametrize("compression", [co.compression.QSGD(), co.compression.BFloat16()])
def test_compressed_parts_are_added_as_what_they_are_read_as(tmp_path, monkeypatch, compression, piece):
    monkeypatch.setattr(adding, "PIECE", piece)
    random, given_ = np.random.default_rng(7), []
    for number in range(3):
        update = {"net": {"w": random.normal(size=(10, 30)).astype(np.float32), "b": random.normal(size=5)}}
        made = compression.compressed(update, number)
        given_.append(Contribution(made.total, number))
        path = tmp_path / f"part{number}"
        path.write_bytes(codec.encode({**made.arrays, "weight": np.asarray(float(number))}, made.as_bf16))
        check(path)
    add([(str(number), tmp_path / f"part{number}") for number in range(3)], tmp_path / "sum")
    assert (tmp_path / "sum").read_bytes() == codec.encode(of(gather(given_)))


LEVELS, SCALES = np.full(300, 3, np.int8), np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"~levels": {"w": LEVELS}}, "'total/w' has levels without scales"),
        ({"~scales": {"w": SCALES}}, "'total/w' has levels without scales"),
        ({"~levels": {"w": LEVELS}, "~scales": {"w": SCALES}, "total": {"w": np.ones(300)}}, "or is there twice"),
        ({"~levels": {"w": LEVELS}, "~scales": {"w": np.ones(3, np.float32)}}, r"not float32 \(3,\)"),
        ({"~levels": {"w": LEVELS.astype(np.int32)}, "~scales": {"w": SCALES}}, "levels are int8, not int32"),
        ({"~levels": {"w": np.full(300, -128, np.int8)}, "~scales": {"w": SCALES}}, "holds the level -128"),
        ({"~levels": {"w": LEVELS}, "~scales": {"w": -SCALES}}, "holds the scale -1"),
    ],
)
def test_levels_that_are_none_are_refused_by_the_name_of_their_site(tmp_path, part, said):
    right = {"~levels": {"w": LEVELS}, "~scales": {"w": SCALES}}
    with pytest.raises(DecodeError, match=f"in the part of site1, .*{said}"):
        add(write(tmp_path, [right, part]), tmp_path / "sum")


def test_levels_are_no_counts(tmp_path):
    ((_, path),) = write(tmp_path, [{"~levels": {"w": LEVELS}, "~scales": {"w": SCALES}}])
    assert b"".join(checked(path, smallest_count=10)) == path.read_bytes()


COUNTS = np.array([1, 2, 3])


@pytest.mark.parametrize(
    ("held", "name"),
    [
        ({"n": LEVELS}, "n"),
        ({"n": LEVELS, "~scales": {"n": SCALES}}, "n"),
        ({"~levels": {"n": COUNTS}}, "~levels/n"),
        ({"~levels": {"n": COUNTS}, "~scales": {"n": np.ones(1, np.float32)}}, "~levels/n"),
        ({"~levels": {"n": LEVELS}}, "~levels/n"),
        ({"~levels": {"n": LEVELS}, "~scales": {"n": SCALES[1:]}}, "~levels/n"),
        ({"~levels": {"n": LEVELS}, "~scales": {"n": SCALES.astype(float)}}, "~levels/n"),
    ],
)
def test_counts_are_counts_whatever_they_are_called(tmp_path, held, name):
    ((_, path),) = write(tmp_path, [held])
    with pytest.raises(InvalidInput, match=f"'{name}' holds a count below 10"):
        list(checked(path, smallest_count=10))


def test_empty_parts_add_nothing(tmp_path):
    one = {"w": np.ones(2)}
    add(write(tmp_path, [{}, one, {}, one]), tmp_path / "sum")
    assert codec.decode((tmp_path / "sum").read_bytes())["w"].tolist() == [2, 2]
    add(write(tmp_path, [{}]), tmp_path / "sum")
    assert codec.decode((tmp_path / "sum").read_bytes()) == {}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"v": np.ones(2)}, "part of site1 does not fit that of site0: .* only some sites have"),
        ({"w": np.ones(3)}, r"site1 does not fit that of site0: .* shape of 'w': \(2,\) and \(3,\)"),
        ({"w": np.ones(2, np.int64)}, "site1 does not fit that of site0: .* integers"),
    ],
)
def test_parts_that_differ_are_named(tmp_path, other, said):
    with pytest.raises(InvalidInput, match=said):
        add(write(tmp_path, [{"w": np.ones(2)}, other]), tmp_path / "sum")


def test_of_several_the_odd_one_is_named(tmp_path):
    one = {"w": np.ones(2)}
    with pytest.raises(InvalidInput, match="part of site0 does not fit those of the others, such as site1"):
        add(write(tmp_path, [{"w": np.ones(3)}, one, one]), tmp_path / "sum")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named(tmp_path, bad):
    parts = write(tmp_path, [{"w": np.ones(2)}, {"w": np.ones(2)}])
    data = parts[1][1].read_bytes()
    parts[1][1].write_bytes(data[:-8] + np.float64(bad).tobytes())
    with pytest.raises(DecodeError, match="in the part of site1, 'w' holds a number that is not finite"):
        add(parts, tmp_path / "sum")
    with pytest.raises(DecodeError, match="not finite"):
        check(parts[1][1])


@pytest.mark.parametrize("signs", [(1, 1), (-1, -1)])
def test_a_sum_that_no_number_can_hold_is_named(tmp_path, signs):
    most = np.finfo(np.float64).max
    parts = write(tmp_path, [{"w": np.array([0.0, sign * most])} for sign in signs])
    with pytest.raises(InvalidInput, match="the sum of 'w' is too large"):
        add(parts, tmp_path / "sum")


def test_what_is_written_to_a_file_while_it_is_looked_at_comes_out_as_it_was_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(adding, "PIECE", 1)
    ((_, path),) = write(tmp_path, [{"w": np.ones(2)}])
    coming = checked(path)
    head, first = next(coming), bytes(next(coming))
    data = path.read_bytes()
    path.write_bytes(data[:-16] + np.full(2, 7.0).tobytes())
    assert codec.decode(bytes(head) + first + b"".join(coming))["w"].tolist() == [1, 7]
    coming = checked(path)
    next(coming)
    path.write_bytes(data[:-8] + np.float64(np.nan).tobytes())
    with pytest.raises(DecodeError, match="not finite"):
        list(coming)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_a_site_sends_is_refused_or_decodes(tmp_path_factory, data):
    held = {
        "w": np.ones(3),
        "b": np.zeros(2, bool),
        "half": np.ones(2, np.float32),
        "~levels": {"l": np.ones(2, np.int8)},
    }
    whole = bytearray(codec.encode(held, ["half"]))
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    path = tmp_path_factory.mktemp("part") / "part"
    path.write_bytes(cut)
    try:
        check(path)
    except DecodeError:
        with pytest.raises(ComityError):
            codec.decode(cut)
    else:
        codec.decode(cut)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_a_site_sends_in_levels_is_refused_or_added(tmp_path_factory, data):
    held = {
        "~levels": {"w": np.full(3, 100, np.int8)},
        "~scales": {"w": np.ones(1, np.float32)},
        "total": {"b": np.ones(2, np.float32)},
        "weight": np.asarray(1.0),
    }
    whole = bytearray(codec.encode(held, ["total/b"]))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("part") / "part"
    path.write_bytes(whole)
    try:
        made = codec.decode(b"".join(added([("a", path)])))
    except ComityError:
        return
    for leaf in tree.flatten(made).values():
        assert leaf.dtype in (np.float64, np.int64)
    if "~levels" not in made:
        restored = quantized.restored(codec.decode(bytes(whole)))
        total = tree.flatten(made["total"]) if "total" in made else {}
        for name, leaf in tree.flatten(restored).items():
            np.testing.assert_array_equal(total[name], leaf)
