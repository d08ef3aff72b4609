"""Skellam noise against scipy's distribution, and its bound against what it bounds."""

import os
from math import exp, log, sqrt

import numpy as np
import pytest
from dp_accounting.rdp import compute_epsilon
from scipy.stats import chisquare
from scipy.stats import skellam as scipys

from comity.engine.repeatable import repeatable
from comity.privacy import gaussian, skellam
from comity.privacy.fixed_point import Scale
from comity.privacy.skellam import Noise, Sums
from comity.values.errors import InvalidInput

COUNT = 200_000


@pytest.mark.parametrize("variance", [0.3, 4.0, 1e3, 2.0**20])
def test_the_table_is_the_distributions_tail(variance):
    tails = skellam._tails(variance)[::-1]
    at = np.unique(np.linspace(0, min(6 * sqrt(variance) + 5, len(tails) - 1), 30).astype(int))
    np.testing.assert_allclose(tails[at], 2 * scipys.sf(at, variance / 2, variance / 2), rtol=1e-3, atol=1e-18)
    assert tails[-1] < 2.0**-63
    assert (np.diff(tails) < 0).all()


@pytest.mark.parametrize("random", [repeatable(1, "skellam"), os.urandom], ids=["keystream", "system"])
def test_draws_have_the_distribution(random):
    variance = 30.0
    found = skellam.drawn(random, COUNT, variance)
    edges = np.arange(-12, 13)
    counts = [np.sum(found < -12), *(np.sum(found == at) for at in edges), np.sum(found > 12)]
    wanted = scipys.pmf(edges, 15, 15)
    tail = scipys.sf(12, 15, 15)
    assert chisquare(counts, np.array([tail, *wanted, tail]) / (wanted.sum() + 2 * tail) * COUNT).pvalue > 1e-5
    assert found.dtype == np.int64


def test_wide_noise_has_the_variance_and_keeps_to_its_width():
    variance = skellam.WIDEST**2
    found = skellam.drawn(repeatable(2, "skellam"), COUNT, variance).astype(float)
    assert found.var() == pytest.approx(variance, rel=5 * sqrt(2 / COUNT))
    assert abs(found.mean()) < 5 * sqrt(variance / COUNT)
    extreme = skellam.drawn(bytes, 1, variance), skellam.drawn(lambda count: b"\x01" + bytes(count - 1), 1, variance)
    assert extreme[0] == -extreme[1]
    assert abs(extreme[0][0]) <= skellam.widest(variance)


# (how far apart, variance, order), and the bound; and what it bounds, by adding up the distributions themselves
@pytest.mark.parametrize(
    ("apart", "variance", "order", "divergence", "bound"),
    [(1, 4, 4, 0.4513, 0.7031), (3, 25, 8, 1.2648, 1.5012), (10, 400, 16, 1.9340, 2.0049)],
)
def test_the_bound_is_agarwals_and_above_the_divergence(apart, variance, order, divergence, bound):
    at = np.arange(-int(14 * sqrt(variance)), int(14 * sqrt(variance)) + apart)
    one, other = scipys.logpmf(at - apart, variance / 2, variance / 2), scipys.logpmf(at, variance / 2, variance / 2)
    found = log(np.sum(np.exp(order * one - (order - 1) * other))) / (order - 1)
    assert found == pytest.approx(divergence, abs=1e-4)
    # ε at δ where this order alone is asked
    delta = 1e-4
    given = {"variance": variance, "l2": apart, "l1": apart, "rounds": 1}
    assert skellam.epsilon(delta, **given) <= bound + log(1 - 1 / order) - log(delta * order) / (order - 1) + 1e-4


def test_its_epsilon_is_dp_accountings_of_the_same_divergences():
    variance, l2, l1, rounds = 1e6, 700.0, 9000.0, 12
    spent = [
        rounds
        * (
            order * l2**2 / (2 * variance)
            + min(((2 * order - 1) * l2**2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance))
        )
        for order in skellam.ORDERS
    ]
    wanted, _ = compute_epsilon(skellam.ORDERS, spent, 1e-5)
    found = skellam.epsilon(1e-5, variance=variance, l2=l2, l1=l1, rounds=rounds)
    assert found == pytest.approx(wanted, rel=1e-9)
    assert found > gaussian.epsilon(l2 * sqrt(rounds / variance), 1e-5)


@pytest.mark.parametrize(("budget", "coordinates"), [(1.0, 1000), (8.0, 1000), (8.0, 1_000_000), (30.0, 10)])
@pytest.mark.parametrize("clip", [0.75, 1.0, 300.0])
def test_noise_keeps_the_budget_and_costs_little_more_than_a_gaussians(budget, coordinates, clip):
    sums = Sums(clip=clip, coordinates=coordinates, rounds=20)
    found = skellam.noise(budget, 1e-5, sums, shares=3)
    assert budget * 0.99 < sums.epsilon(1e-5, found) <= budget
    least = gaussian.deviation(budget, 1e-5) * sqrt(20) * clip
    assert least < found.deviation < least * (1.15 if coordinates <= 1000 else 1.4)


def test_the_noise_of_the_fewest_that_remain_is_enough():
    sums = Sums(clip=1.0, coordinates=10, rounds=1)
    three, four = (skellam.noise(1.0, 1e-5, sums, shares=shares) for shares in (3, 4))
    assert three.each > four.each
    assert three.each**2 * 3 == pytest.approx(three.deviation**2)


def test_rounding_counts_the_more_the_more_coordinates_there_are():
    noise = Noise(deviation=5.0, shares=3)
    spent = [Sums(clip=1.0, coordinates=d, rounds=5).epsilon(1e-5, noise) for d in (1, 10**4, 10**8)]
    assert spent[0] < spent[1] < spent[2]
    l2, l1 = skellam.norms(100.0, 49)
    assert (l2, l1) == (pytest.approx(107, rel=1e-5), pytest.approx(7 * 107, rel=1e-5))


def test_noise_is_counted_in_the_bound_under_which_no_sum_wraps():
    for bits, sites, deviation in [(32, 40, 0.5), (32, 4, 0.01), (64, 40, 1e-6), (32, 4, 300.0), (64, 4, 1e9)]:
        scale = Scale(bits=bits, sites=sites, max_weight=1, clip=1.0, noise=Noise(deviation=deviation, shares=3))
        most = 2.0**scale.fraction + 1 + scale.widest
        assert sites * most < 2 ** (bits - 1)
        assert skellam.WIDEST / 2 < sqrt(scale.variance) <= skellam.WIDEST
    with pytest.raises(InvalidInput, match="40 sites with floats up to 1 and so little noise do not fit 32 bits; take"):
        Scale(bits=32, sites=40, max_weight=1, clip=1.0, noise=Noise(deviation=1e-3, shares=3))


def test_no_noise_is_enough_for_next_to_nothing():
    with pytest.raises(InvalidInput, match="no noise keeps ε = 1e-09 over so many rounds"):
        skellam.noise(1e-9, 1e-5, Sums(clip=1.0, coordinates=10**8, rounds=1000), shares=3)
    assert exp(skellam.epsilon(0.9, variance=1e12, l2=1.0, l1=1.0, rounds=1)) == 1
