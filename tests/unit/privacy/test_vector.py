"""Contributions as vectors of the ring: rounded within a step, clipped or refused, and never wrapped around."""

import json
import mmap
import tracemalloc
from fractions import Fraction
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comity as co
from comity.privacy import masks
from comity.privacy.fixed_point import FloatEncoder, Scale, working
from comity.privacy.vector import Layout, Vector, read_layout, summed
from comity.values import codec
from comity.values.contribution import gather
from comity.values.digest import digest
from comity.values.errors import DecodeError, InvalidInput

SEED = bytes(range(32))


def vector(contribution, scale, norm=None, rounding=SEED):
    return Vector(contribution, scale, norm=norm, rounding=rounding)


def segments(made, length):
    return [made.segment(index, length) for index in range(-(-made.layout.size // length))]


def whole(made):
    return made.segment(0, made.layout.size)


def added(parts, scale, length=3, norm=None):
    """The sum of contributions, encoded, added in the ring and decoded."""
    encoded = [segments(vector(p, scale, norm, bytes([at]) * 32), length) for at, p in enumerate(parts)]
    total = [np.sum(each, axis=0, dtype=each[0].dtype) for each in zip(*encoded, strict=True)]
    return summed(Layout.of(parts[0]), scale, total, sites=len(parts))


@pytest.mark.parametrize(
    ("bits", "sites", "max_weight", "clip"),
    [
        *((bits, *case) for bits in (32, 64) for case in [(3, 1, 1.0), (4, 1000, 8.0), (40, 2**16, 0.3), (7, 1, 1e-9)]),
        *((16, *case) for case in [(3, 1, 1.0), (4, 1000, 8.0), (40, 800, 1.0), (40, 1, 1e-9)]),
    ],
)
def test_no_sum_of_the_largest_wraps_and_no_step_is_wasted(bits, sites, max_weight, clip):
    scale = Scale(bits=bits, sites=sites, max_weight=max_weight, clip=clip)
    most = Fraction(clip) * max_weight * sites
    assert most * 2**scale.fraction < 2 ** (bits - 1)
    assert scale.fraction == 100 or most * 2 ** (scale.fraction + 1) >= 2 ** (bits - 1) - sites
    for sign in (1, -1):
        part = co.Contribution({"w": np.array([sign * clip * max_weight])}, max_weight)
        made = added([part] * sites, scale)
        np.testing.assert_allclose(made.total.total["w"], [sign * float(most)], atol=made.error)


def test_what_cannot_fit_is_refused_at_once():
    with pytest.raises(InvalidInput, match="do not fit 32 bits; lower max_weight or clip, or take bits=64"):
        Scale(bits=32, sites=40, max_weight=2**20, clip=1000.0)
    with pytest.raises(InvalidInput, match="do not fit 32 bits"):
        Scale(bits=32, sites=40, max_weight=2**27, clip=1e-9)
    with pytest.raises(InvalidInput, match=r"4 sites of weight up to 8192 .* do not fit 16 bits"):
        Scale(bits=16, sites=4, max_weight=8192, clip=1e-3)


@st.composite
def contributions(draw):
    """(parts, scale): floats of any precision within the clip, integers, booleans, scalars, nothing."""
    sites = draw(st.integers(3, 6))
    scale = Scale(bits=draw(st.sampled_from([16, 32, 64])), sites=sites, max_weight=50, clip=4.0)
    shape = draw(st.sampled_from([(), (0,), (5,), (2, 3)]))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = []
    for _ in range(sites):
        weight = int(generator.integers(0, 51))
        limit = scale.limit(weight, np.dtype(np.float32))
        drawn = {
            "deep": {"floats": np.asarray(generator.uniform(-0.99, 0.99, shape) * limit, dtype)},
            "integers": generator.integers(-1000, 1000, 3).astype(draw(st.sampled_from([np.int16, np.int64]))),
            "switches": generator.random(2) > 0.5,
        }
        parts.append(co.Contribution(drawn, weight))
    return parts, scale


@settings(max_examples=200, deadline=None)
@given(contributions(), st.integers(1, 20))
def test_the_sum_is_that_of_gather_within_the_bound_and_integers_are_exact(drawn, length):
    parts, scale = drawn
    made, plain = added(parts, scale, length), gather(parts)
    assert made.total.weight == plain.weight
    for path in ("integers", "switches"):
        np.testing.assert_array_equal(made.total.total[path], plain.total[path])
        assert made.total.total[path].dtype == np.int64
    floats = made.total.total["deep"]["floats"]
    flat = [part.total["deep"]["floats"].reshape(-1).tolist() for part in parts]
    wanted = np.reshape([fsum(each) for each in zip(*flat, strict=True)], floats.shape)  # rounded once
    assert floats.dtype == np.float64
    assert floats.shape == parts[0].total["deep"]["floats"].shape
    assert made.clipped == 0
    assert (np.abs(floats - wanted) <= made.error + np.spacing(np.abs(wanted))).all()


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_rounding_is_up_or_down_and_right_on_average(bits):
    scale = Scale(bits=bits, sites=3, max_weight=1, clip=1.0)
    x = np.full(200_000, 0.3 * scale.step + 100 * scale.step)
    encoder, out = FloatEncoder(bits, scale.fraction, np.dtype(np.float64)), np.zeros(len(x), masks.ring(bits))
    encoder.encode(x, out, limit=1.0, factor=1.0, draws=masks.keystream(bytes(16)))
    assert set(out.tolist()) == {100, 101}
    assert abs(out.mean() - 100.3) < 5 * np.sqrt(0.3 * 0.7 / len(x))


def test_a_float_on_a_step_is_exact_and_negative_numbers_are_twos_complement():
    scale = Scale(bits=32, sites=3, max_weight=1, clip=1.0)
    x = np.array([0.0, -1.0, 0.5, -0.25, scale.step, -scale.step], np.float32)
    made = whole(vector(co.Contribution({"w": x}, 1), scale))
    wanted = [0, -(2**scale.fraction), 2 ** (scale.fraction - 1), -(2 ** (scale.fraction - 2)), 1, -1]
    assert [int(e) for e in made[:-2]] == [each % 2**32 for each in wanted]
    assert [int(e) for e in made[-2:]] == [1, 0]  # the weight, and nothing clipped


def test_the_same_input_is_encoded_alike_again_in_any_order_and_another_seed_rounds_otherwise():
    contribution = co.Contribution({"w": np.random.default_rng(0).normal(size=100), "n": np.arange(7)}, 5)
    scale = Scale(bits=64, sites=3, max_weight=10, clip=8.0)
    one, other = vector(contribution, scale), vector(contribution, scale)
    first = [one.segment(index, 10) for index in range(11)]
    again = [other.segment(index, 10) for index in reversed(range(11))][::-1]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    third = vector(contribution, scale, rounding=bytes(32))
    assert any((a != third.segment(at, 10)).any() for at, a in enumerate(first))


def test_floats_are_clipped_for_the_sites_weight_and_counted():
    scale = Scale(bits=64, sites=3, max_weight=100, clip=2.0)
    part = co.Contribution({"w": np.array([100.0, -21.0, 19.0, 20.0])}, 10)
    made = added([part, part, part], scale)
    np.testing.assert_allclose(made.total.total["w"], [60.0, -60.0, 57.0, 60.0], atol=made.error)
    assert made.clipped == 6


def test_the_norm_scales_all_floats_down_together_and_leaves_integers():
    scale = Scale(bits=64, sites=3, max_weight=10, clip=100.0)
    part = co.Contribution({"w": np.array([30.0, 0.0]), "v": np.array([40.0], np.float32), "n": np.array([7])}, 2)
    made = added([part] * 3, scale, norm=2.5)
    np.testing.assert_allclose(made.total.total["w"], [9.0, 0.0], atol=made.error)
    np.testing.assert_allclose(made.total.total["v"], [12.0], atol=1e-6)
    assert made.total.total["n"].tolist() == [21]
    within = added([part] * 3, scale, norm=25.0)
    np.testing.assert_allclose(within.total.total["w"], [90.0, 0.0], atol=made.error)


@pytest.mark.parametrize(
    ("tree", "weight", "match"),
    [
        ({"w": np.array([np.nan])}, 1, "'w' is not finite"),
        ({"w": np.array([np.inf])}, 1, "'w' is not finite"),
        ({"n": np.array([2**40])}, 1, "'n' holds an integer above .*; take bits=64"),
        ({"n": np.array([-(2**40)])}, 1, "'n' holds an integer above"),
        ({"n": np.array([2**63], np.uint64)}, 1, "'n' holds an integer above"),
        ({"w": np.zeros(1)}, 11, r"a whole number up to max_weight=10, not 11"),
        ({"w": np.zeros(1)}, 0.5, r"a whole number up to max_weight=10, not 0\.5"),
        ({"w": np.array([1e300])}, 1, "at most 100 goes into this secure sum; raise clip"),
    ],
)
def test_what_would_overflow_is_refused_before_anything_is_masked(tree, weight, match):
    scale = Scale(bits=32, sites=3, max_weight=10, clip=10.0, excess="refuse")
    with pytest.raises(InvalidInput, match=match):
        vector(co.Contribution(tree, weight), scale)


def test_floats_beyond_float32_are_clipped_and_not_infinite():
    scale = Scale(bits=32, sites=3, max_weight=1, clip=1.0)
    made = added([co.Contribution({"w": np.array([1e300, -1e300]), "v": np.float32([3e38])}, 1)] * 3, scale)
    np.testing.assert_allclose(made.total.total["w"], [3.0, -3.0], atol=made.error)
    np.testing.assert_allclose(made.total.total["v"], [3.0], atol=made.error)
    assert made.clipped == 9


def test_floats_are_worked_in_their_own_precision_but_halves():
    assert [working(np.zeros(1, dtype)) for dtype in (np.float16, np.float32, np.float64)] == ["f4", "f4", "f8"]


SESSION, OTHER = digest(b"a session"), digest(b"another")


def test_the_form_tells_layouts_scales_and_sessions_apart():
    scale = Scale(bits=32, sites=3, max_weight=1, clip=1.0)
    forms = {
        Layout.of(co.Contribution(tree, 1)).form(each, session)
        for tree in ({"a": np.zeros(2)}, {"b": np.zeros(2)}, {"a": np.zeros((2, 1))}, {"a": np.zeros(2, int)})
        for each in (
            scale,
            Scale(bits=64, sites=3, max_weight=1, clip=1.0),
            Scale(bits=32, sites=3, max_weight=2, clip=1.0),
        )
        for session in (SESSION, OTHER)
    }
    assert len(forms) == 24


def test_a_form_is_read_as_it_was_written_and_for_its_session_and_scale_only():
    scale = Scale(bits=32, sites=3, max_weight=1, clip=1.0)
    layout = Layout.of(co.Contribution({"a": {"w": np.zeros((2, 0, 3))}, "n": np.zeros((), int)}, 1))
    written = layout.written(scale, SESSION)
    assert read_layout(written, lambda _: scale, SESSION) == layout
    for session, other in ((OTHER, scale), (SESSION, Scale(bits=64, sites=3, max_weight=1, clip=1.0))):
        with pytest.raises(DecodeError):
            read_layout(written, lambda _, of=other: of, session)


@given(st.data())
def test_a_form_that_was_changed_is_refused_or_says_the_same(data):
    scale = Scale(bits=32, sites=3, max_weight=1, clip=1.0)
    layout = Layout.of(co.Contribution({"a": np.zeros((2, 3)), "b": np.zeros(4, int)}, 1))
    written = bytearray(layout.written(scale, SESSION))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(written) - 1))
        match data.draw(st.sampled_from(["change", "drop", "add"])):
            case "change":
                written[at] = data.draw(st.integers(0, 255))
            case "drop":
                del written[at]
            case _:
                written.insert(at, data.draw(st.integers(32, 126)))
    try:
        read = read_layout(bytes(written), lambda _: scale, SESSION)
    except DecodeError:
        return
    assert read.written(scale, SESSION) == bytes(written)


@pytest.mark.parametrize(
    "leaves",
    [
        [["b", True, [1]], ["a", True, [1]]],
        [["a", True, [1]], ["a", True, [1]]],
        [["a", True, [2**37, 2]]],
        [["a", True, [1] * 17]],
        [["/a", True, [1]]],
        [["a\n", True, [1]]],
        [["a", 1, [1]]],
        [["a", True, [-1]]],
    ],
)
def test_a_form_of_nothing_that_could_be_summed_is_refused(leaves):
    scale = Scale(bits=32, sites=3, max_weight=1, clip=1.0)
    form = [SESSION, leaves, 32, 3, 1, "1.0", "clip"]
    with pytest.raises(DecodeError):
        read_layout(json.dumps(form, separators=(",", ":")).encode(), lambda _: scale, SESSION)


def test_every_coordinate_is_sent_whatever_it_holds():
    sparse, dense = ({"w": np.zeros(50)}, {"w": np.ones(50)})
    scale = Scale(bits=32, sites=3, max_weight=1, clip=1.0)
    assert [len(whole(vector(co.Contribution(t, 1), scale))) for t in (sparse, dense)] == [52, 52]


def test_a_large_contribution_in_a_file_is_encoded_in_the_memory_of_a_segment(tmp_path):
    file = tmp_path / "contribution.safetensors"
    file.write_bytes(codec.encode({"total": {"w": np.ones(2**23, np.float32)}}))
    segment = np.empty(2**16, masks.ring(32))
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    scale = Scale(bits=32, sites=3, max_weight=1, clip=2.0)
    tracemalloc.start()
    try:
        made = vector(co.Contribution(codec.decode(memoryview(mapped))["total"], 1), scale)
        for index in range(-(-made.layout.size // len(segment))):
            made.segment(index, len(segment), segment)
        assert tracemalloc.get_traced_memory()[1] < 2**20 < file.stat().st_size / 30
    finally:
        tracemalloc.stop()
