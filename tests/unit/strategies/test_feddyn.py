"""FedDyn: one round by hand, and where it ends."""

import numpy as np
import pytest

import comity as co
from comity.strategies import FedAvg, FedDyn
from comity.values.contribution import gather
from comity.values.strategy import Network

TRAIN = co.Train(optimizer=co.SGD(lr=0.2), batch_size=0, steps=20)


def test_two_rounds_by_hand(told):
    """Two sites of one row in a network of four, alpha 0.5; trainings end at given places."""
    strategy, asked, memories = FedDyn(alpha=0.5), [], [{}, {}]
    state = strategy.init({"w": np.array([1.0])}, Network(4))
    for ends in ((3.0, 2.0), (0.0, 1.0)):
        parts = []
        for i, end in enumerate(ends):

            def learned(training, end=end):
                asked.append((float(training.correction["w"][0]), float(training.pull.to["w"][0])))
                return {"w": np.array([end])}

            part, memories[i] = strategy.local(state, memories[i], told(learned))
            parts.append(part)
        state = strategy.step(state, gather(parts))
    # round 1: g = -0.5 · (2, 1) = (-1, -0.5), h = -1.5 / 4, w = 2.5 + 0.375 / 0.5 = 3.25
    # round 2: g = (-1, -0.5) + 0.5 · (3.25, 2.25), h = (0.625 + 0.625) / 4, w = 0.5 - 0.3125 / 0.5
    assert asked == [(0.0, 1.0), (0.0, 1.0), (1.0, 3.25), (0.5, 3.25)]
    assert [memory["w"] for memory in memories] == [0.625, 0.625]
    assert state.params["w"] == pytest.approx(-0.125)


def test_its_fixed_point_is_the_pooled_optimum_where_fedavg_s_is_not(distance):
    assert distance(FedDyn(alpha=1.0), TRAIN, rounds=80) < 1e-9
    assert distance(FedAvg(), TRAIN, rounds=80) > 0.3


def test_so_it_is_when_sites_are_drawn(distance):
    assert distance(FedDyn(alpha=1.0, sites_per_round=2), TRAIN, rounds=150) < 1e-9


def test_running_statistics_are_averaged(told):
    strategy = FedDyn(alpha=0.01)
    state = strategy.init({"bn.running_var": np.array([1.0])}, Network(1))
    part, _ = strategy.local(state, {}, told(lambda _: {"bn.running_var": np.array([0.5])}))
    assert strategy.step(state, part).params["bn.running_var"] == 0.5
