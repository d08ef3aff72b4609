"""Median, trimmed mean and Krum against numpy, scipy and a search over all subsets."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import trim_mean

from comity.strategies import Krum, Median, TrimmedMean
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, RoundFailed
from comity.values.strategy import Network

PARAMS = {"a": np.array([[1.0, 2.0]]), "b": np.array(3.0)}


def parts(updates):
    return [Contribution({"a": row[None, :2], "b": np.asarray(row[2])}, 1) for row in updates]


def move(strategy, updates):
    state = strategy.step(strategy.init(PARAMS, Network(len(updates))), parts(updates))
    return np.append(state.params["a"], state.params["b"]) - [1.0, 2.0, 3.0]


@pytest.fixture
def updates():
    return np.random.default_rng(1).standard_cauchy((7, 3))


def test_the_median_is_taken_in_every_coordinate(updates):
    np.testing.assert_allclose(move(Median(), updates), np.median(updates, axis=0))


@pytest.mark.parametrize("trim", [0, 1, 2, 3])
def test_the_trimmed_mean_is_scipy_s(updates, trim):
    np.testing.assert_allclose(move(TrimmedMean(trim=trim), updates), trim_mean(updates, trim / 7 + 1e-9, axis=0))


def krum_by_search(updates, byzantine):
    """The update whose cheapest set of n - f - 2 others is cheapest."""
    size = len(updates) - byzantine - 2
    return [
        min(
            sum(float(np.sum((updates[i] - updates[j]) ** 2)) for j in others)
            for others in combinations([j for j in range(len(updates)) if j != i], size)
        )
        for i in range(len(updates))
    ]


@pytest.mark.parametrize("byzantine", [0, 1, 2])
@pytest.mark.parametrize("keep", [1, 2, 3])
def test_krum_takes_those_with_the_lowest_scores(updates, byzantine, keep):
    lowest = np.argsort(krum_by_search(updates, byzantine))[:keep]
    np.testing.assert_allclose(move(Krum(byzantine=byzantine, keep=keep), updates), updates[lowest].mean(axis=0))


@pytest.mark.parametrize("strategy", [Median(), TrimmedMean(trim=2), Krum(byzantine=2), Krum(byzantine=2, keep=3)])
def test_two_of_seven_sites_cannot_carry_the_model_away(strategy):
    honest = np.random.default_rng(2).normal(1.0, 0.1, (5, 3))
    attack = np.array([[1e6, -1e6, 1e6], [1e6, -1e6, 1e6]])
    moved = move(strategy, np.concatenate([attack, honest]))
    assert (honest.min(axis=0) <= moved).all()
    assert (moved <= honest.max(axis=0)).all()


def test_a_site_cannot_count_for_more_by_claiming_rows(told):
    state = Median().init({"w": np.zeros(1)}, Network(3))
    part, _ = Median().local(state, {}, told(lambda _: {"w": np.ones(1)}, rows=1000))
    assert (part.total["w"], part.weight) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("strategy", "least"), [(TrimmedMean(trim=2), 5), (Krum(byzantine=2), 7), (Krum(1, keep=4), 7)]
)
def test_too_few_sites_are_refused_at_the_start_and_in_a_round(strategy, least, updates):
    with pytest.raises(InvalidInput, match=f"takes {least} sites or more, not {least - 1}"):
        strategy.init(PARAMS, Network(least - 1))
    state = strategy.init(PARAMS, Network(least))
    with pytest.raises(RoundFailed, match=f"{least - 1} sites took part, but it takes {least}"):
        strategy.step(state, parts(updates[: least - 1]))
    with pytest.raises(RoundFailed):
        strategy.step(state, parts(updates[:1]))
