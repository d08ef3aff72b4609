"""Noise is Gaussian, on its grid, and of the bytes that were handed in."""

import os

import numpy as np
import pytest
from scipy.stats import kstest

from comity.engine.repeatable import repeatable
from comity.values.noise import GRID_BITS, noised, normal, uniform

COUNT = 100_000


def test_uniform_numbers_are_uniform_and_below_one():
    assert kstest(uniform(repeatable(1, "uniform"), COUNT), "uniform").pvalue > 1e-4
    assert uniform(lambda count: b"\xff" * count, 1)[0] == 1 - 2.0**-53


@pytest.mark.parametrize("random", [repeatable(2, "normal"), os.urandom], ids=["keystream", "system"])
def test_normal_numbers_are_normal_and_independent_in_pairs(random):
    drawn = normal(random, COUNT + 1)
    assert drawn.shape == (COUNT + 1,)
    assert kstest(drawn, "norm").pvalue > 1e-5
    half = (COUNT + 2) // 2
    cosine, sine = drawn[: half - 1], drawn[half : 2 * half - 1]
    assert abs(np.corrcoef(cosine, sine)[0, 1]) < 5 / np.sqrt(half)
    assert abs(np.corrcoef(cosine**2, sine**2)[0, 1]) < 5 / np.sqrt(half)


def test_the_extreme_draws_are_finite():
    assert np.isfinite(normal(lambda count: b"\xff" * count, 2)).all()
    assert np.isfinite(normal(bytes, 2)).all()


def test_noise_has_the_deviation_and_lies_on_one_grid_whatever_was_noised():
    random = repeatable(3, "noised")
    exact = np.linspace(-50, 50, COUNT).reshape(-1, 2)
    made = noised(exact, 0.7, random)
    assert made.shape == exact.shape
    assert (made - exact).std() == pytest.approx(0.7, rel=5 / np.sqrt(2 * COUNT))
    steps = made / 2.0**-GRID_BITS  # 0.7 is below 1
    assert (steps == np.rint(steps)).all()


def test_no_deviation_is_no_noise():
    np.testing.assert_array_equal(noised(np.ones(3, np.float32), 0.0, os.urandom), np.ones(3))


def test_what_follows_from_a_seed_can_be_repeated_and_differs_by_use():
    first, again, other = (repeatable(4, use) for use in ("a", "a", "b"))
    assert first(8) + first(8) == again(16) != other(16)
