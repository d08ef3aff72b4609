"""QSGD as in its paper: the right mean, little variance, and a contraction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.compression import QSGD
from comity.values import quantized
from comity.values.errors import InvalidInput


def read(floats, seed):
    return QSGD().compressed({"w": floats}, seed).total["w"]


def test_the_mean_is_right_and_the_variance_is_that_of_rounding():
    """Of x / s between two levels, a part p above the lower: mean p, variance p (1 - p)."""
    floats = np.linspace(-1, 1, 512)
    many = np.stack([read(floats, seed) for seed in range(2000)])
    step = np.array([np.abs(block).max() / 127 for block in (floats[:256], floats[256:])]).repeat(256)
    part = floats / step - np.floor(floats / step)
    deviation = step * np.sqrt(part * (1 - part))
    assert (np.abs(many.mean(axis=0) - floats) <= 5 * deviation / np.sqrt(2000) + step * 2.0**-16).all()
    np.testing.assert_allclose(many.var(axis=0), deviation**2, atol=0.2 * (step**2).max() / 4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(64, 1000), st.sampled_from([0.5, 1.0, 8.0]))
def test_it_is_a_contraction_whatever_is_drawn(seed, size, tail):
    generator = np.random.default_rng(seed)
    floats = generator.normal(size=size) * np.exp(tail * generator.normal(size=size))
    lost = floats - read(floats, seed)
    assert np.square(lost).sum() < 0.016 * np.square(floats).sum()


def test_the_largest_of_a_block_is_exact_but_for_its_scale():
    floats = np.zeros(256, np.float32)
    floats[3], floats[200] = -4.0, 2.0
    made = read(floats, 0)
    assert made[3] == pytest.approx(-4.0, rel=1e-6)
    assert made[200] == pytest.approx(2.0, abs=4 / 127)
    assert (made[4:200] == 0).all()


@pytest.mark.parametrize("tiny", [0.0, 1e-46, 1e-300])
def test_what_no_scale_is_small_enough_for_is_hardly_anything(tiny):
    assert (np.abs(read(np.full(100, tiny), 0)) <= 2.0**-149).all()


def test_levels_are_of_eight_bits_and_arrays_below_64_travel_as_they_are():
    made = QSGD().compressed({"w": np.ones((16, 16)), "b": np.ones(63)}, 0).arrays
    assert made["~levels"]["w"].dtype == np.int8
    assert made["~levels"]["w"].shape == (16, 16)
    assert made["~scales"]["w"].shape == (1,)
    assert made["total"]["b"].tolist() == [1.0] * 63
    quantized.restored(made)


def test_settings():
    with pytest.raises(InvalidInput, match="error_feedback must be True or False, not 1"):
        QSGD(error_feedback=1)
    assert (QSGD().feeds_back, QSGD(error_feedback=False).feeds_back) == (True, False)
