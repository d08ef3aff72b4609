"""Cyclic weight transfer."""

import numpy as np

from comity.strategies import Cyclic
from comity.values.strategy import Network

SITES = ["A", "B", "C", "D"]


def rounds(strategy, seed, count=12):
    return [strategy.select(None, number, SITES, seed) for number in range(1, count + 1)]


def test_the_sites_take_turns_by_name():
    assert rounds(Cyclic(), seed=3, count=6) == [["A"], ["B"], ["C"], ["D"], ["A"], ["B"]]


def test_shuffled_each_cycle_visits_every_site_once_in_an_order_of_its_own():
    order = [name for (name,) in rounds(Cyclic(shuffled=True), seed=3)]
    cycles = [order[i : i + 4] for i in (0, 4, 8)]
    assert all(sorted(cycle) == SITES for cycle in cycles)
    assert len({tuple(cycle) for cycle in cycles}) > 1
    assert order == [name for (name,) in rounds(Cyclic(shuffled=True), seed=3)]
    assert order != [name for (name,) in rounds(Cyclic(shuffled=True), seed=4)]


def test_the_weights_travel_on_as_they_are(told):
    state = Cyclic().init({"w": np.array([0.1], np.float32)}, Network(4))
    for rows in (3, 7):
        site = told(lambda training: {"w": training.params["w"] * np.float32(1.1)}, rows=rows)
        state = Cyclic().step(state, Cyclic().local(state, {}, site)[0])
    assert state.params["w"] == np.float32(0.1) * np.float32(1.1) * np.float32(1.1)
