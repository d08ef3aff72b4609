"""FedAvg by hand."""

import numpy as np
import pytest

from comity.strategies import FedAvg
from comity.values.contribution import Contribution, gather
from comity.values.strategy import Network


def given(update, rows):
    return Contribution({"w": np.array([update * rows])}, rows)


def test_the_model_moves_by_the_mean_update_weighted_by_rows(told):
    strategy = FedAvg()
    state = strategy.init({"w": np.array([1.0])}, Network(2))
    parts = [
        strategy.local(state, {}, told(lambda _: {"w": np.array([2.0])}, rows=1))[0],
        strategy.local(state, {}, told(lambda _: {"w": np.array([6.0])}, rows=3))[0],
    ]
    assert strategy.step(state, gather(parts)).params["w"] == 1 + (1 * 1 + 3 * 5) / 4


def test_momentum_is_a_running_sum_of_mean_updates():
    strategy = FedAvg(server_lr=0.5, server_momentum=0.9)
    state = strategy.init({"w": np.array([0.0])}, Network(1))
    state = strategy.step(state, given(2.0, 3))  # v = 2
    state = strategy.step(state, given(-1.0, 5))  # v = 0.9 · 2 - 1 = 0.8
    assert state.params["w"] == pytest.approx(0.5 * 2 + 0.5 * 0.8)
    assert state.velocity["w"] == pytest.approx(0.8)


def test_running_statistics_are_averaged_whatever_the_server_does():
    strategy = FedAvg(server_lr=3.0, server_momentum=0.9)
    state = strategy.init({"bn.running_var": np.array([1.0])}, Network(1))
    for _ in range(3):
        state = strategy.step(state, Contribution({"bn.running_var": np.array([-0.2])}, 1))
    assert state.params["bn.running_var"] == pytest.approx(0.4)


def test_sites_are_drawn_anew_each_round_and_alike():
    strategy, sites = FedAvg(sites_per_round=3), [f"{i:02}" for i in range(10)]
    drawn = [strategy.select(None, number, sites, 7) for number in range(1, 501)]
    assert all(len(set(names)) == 3 and list(names) == sorted(names) for names in drawn)
    counts = np.array([sum(name in names for names in drawn) for name in sites])
    # each count is binomial(500, 0.3): mean 150, standard deviation 10.2
    assert np.abs(counts - 150).max() < 4 * 10.2
