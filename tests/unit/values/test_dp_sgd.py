"""Samples, clipping and the mean of DP-SGD, and what they come to over many steps."""

import numpy as np
import pytest

from comity.engine.repeatable import repeatable
from comity.values.dp_sgd import DPSGD


def how(rate=0.1, noise=0.0, clip=1.0, seed=1):
    return DPSGD(clip=clip, noise_multiplier=noise, sampling_rate=rate, random=repeatable(seed, "test"))


def test_a_sample_is_a_poisson_sample():
    dp, steps, rows = how(rate=0.05), 4_000, 40
    samples = [dp.sample(rows) for _ in range(steps)]
    sizes = np.array([len(each) for each in samples])
    assert sizes.mean() == pytest.approx(2, abs=5 * np.sqrt(1.9 / steps))
    assert sizes.var() == pytest.approx(rows * 0.05 * 0.95, rel=0.15)  # of fixed batches it would be 0
    assert (sizes == 0).mean() == pytest.approx(0.95**rows, abs=0.03)
    each = np.bincount(np.concatenate(samples), minlength=rows) / steps
    assert np.abs(each - 0.05).max() < 5 * np.sqrt(0.05 * 0.95 / steps)
    both = np.mean([0 in set(found) and 1 in set(found) for found in map(np.ndarray.tolist, samples)])
    assert both == pytest.approx(0.05**2, abs=5 * np.sqrt(0.05**2 / steps))


def test_a_rate_of_one_takes_every_row():
    assert how(rate=1).sample(5).tolist() == [0, 1, 2, 3, 4]


def test_factors_bring_norms_down_and_leave_small_ones():
    norms = np.array([0.0, 0.5, 2.0, 8.0, 1e300, np.nan, np.inf])
    factors = how(clip=2.0).factors(norms)
    np.testing.assert_allclose(factors, [1, 1, 1, 0.25, 2e-300, 0, 0])
    assert (factors[:5] * norms[:5] <= 2.0).all()


def test_the_mean_is_over_the_expected_size_and_its_noise_over_it_too():
    zeros = {"a": np.zeros((100, 100)), "b": {"c": np.zeros(())}}
    exact = how(rate=0.1, noise=0).mean({"a": np.full(3, 6.0)}, 60)
    np.testing.assert_array_equal(exact["a"], np.ones(3))
    made = how(rate=0.1, noise=2.0, clip=3.0).mean(zeros, 60)
    assert made["a"].std() == pytest.approx(2.0 * 3.0 / 6, rel=0.04)
    assert made["b"]["c"].shape == ()
    assert made["b"]["c"] != 0


def test_its_bytes_are_not_shown():
    assert "random" not in repr(how())
