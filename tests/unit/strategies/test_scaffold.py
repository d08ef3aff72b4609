"""SCAFFOLD: option II by hand, and where it ends."""

import numpy as np
import pytest

import comity as co
from comity.strategies import FedAvg, Scaffold
from comity.values.contribution import gather
from comity.values.strategy import Network

TRAIN = co.Train(optimizer=co.SGD(lr=0.1), batch_size=0, steps=5)


def test_two_rounds_by_hand(told):
    """Two sites of one row in a network of four; the gradients are 3 and -1 wherever they are taken."""
    strategy, gradients = Scaffold(), {"A": 3.0, "B": -1.0}
    state, memories, asked = strategy.init({"w": np.array([0.0])}, Network(4)), {"A": {}, "B": {}}, []

    def learned(gradient):
        def run(training):
            asked.append(float(training.correction["w"][0]))
            return {"w": training.params["w"] - 2 * 0.5 * (gradient + training.correction["w"])}

        return run

    for _ in range(2):
        parts = []
        for name, gradient in gradients.items():
            part, memories[name] = strategy.local(state, memories[name], told(learned(gradient), steps=2, lr=0.5))
            parts.append(part)
        state = strategy.step(state, gather(parts))
    # round 1: no correction, x = 0 - mean(3, -1) = -1, c_A = 3, c_B = -1, c = (3 - 1) / 4 = 0.5
    # round 2: corrections c - c_i = -2.5 and 1.5, so both step by 0.5 and x = -1.5; the controls stay
    assert asked == [0.0, 0.0, -2.5, 1.5]
    assert state.params["w"] == -1.5
    assert (memories["A"]["w"], memories["B"]["w"]) == (3.0, -1.0)
    assert state.control()["w"] == 0.5
    assert (state.rows, state.seen) == (2.0, 2)


def test_its_fixed_point_is_the_pooled_optimum_where_fedavg_s_is_not(distance):
    assert distance(Scaffold(), TRAIN, rounds=100) < 1e-12
    assert distance(FedAvg(), TRAIN, rounds=100) > 0.1


def test_so_it_is_when_sites_are_drawn(distance):
    assert distance(Scaffold(sites_per_round=2), TRAIN, rounds=300) < 1e-12


def test_the_shared_control_is_the_mean_of_the_sites_weighted_by_rows(apart):
    experiment = co.Experiment(model=co.numpy.Linear(features=2), train=TRAIN, strategy=Scaffold(), rounds=5)
    run = co.simulate(experiment, apart, progress=False)
    mean = sum(len(site.train) * run.memory(site.name)["weight"] for site in apart) / 90
    np.testing.assert_allclose(run.state.control()["weight"], mean, rtol=1e-12)


def test_an_optimizer_whose_steps_are_not_gradients_is_refused(apart):
    train = co.Train(optimizer=co.Adam(lr=0.1), steps=3)
    with pytest.raises(co.ComityError, match="Scaffold needs steps whose length is the learning rate"):
        co.Experiment(model=co.numpy.Linear(features=2), train=train, strategy=Scaffold())
