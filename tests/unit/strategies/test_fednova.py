"""FedNova: by hand, the length of a local training counted out, and where it ends."""

import numpy as np
import pytest

import comity as co
from comity.strategies import FedAvg, FedNova
from comity.values.contribution import gather
from comity.values.optimizer import SGD, Adam
from comity.values.strategy import Network


def test_updates_count_per_step(told):
    strategy = FedNova()
    state = strategy.init({"w": np.array([0.0])}, Network(2))
    parts = [
        strategy.local(state, {}, told(lambda _: {"w": np.array([2.0])}, rows=1, steps=2))[0],
        strategy.local(state, {}, told(lambda _: {"w": np.array([-8.0])}, rows=3, steps=4))[0],
    ]
    # directions 1 and -2 a step, weighted 1 : 3, times the mean number of steps
    assert strategy.step(state, gather(parts)).params["w"] == (1 - 3 * 2) / 4 * (2 + 3 * 4) / 4


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_length_is_how_far_gradients_of_one_carry(momentum, steps):
    optimizer = SGD(lr=1.0, momentum=momentum)
    params, grads = [np.zeros(1)], [np.ones(1)]
    slots = optimizer.start(params)
    for count in range(1, steps + 1):
        params, slots = optimizer.step(params, grads, slots, count)
    assert FedNova(local_momentum=momentum).length(steps) == pytest.approx(-params[0][0], rel=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_sites_that_take_more_steps_have_no_more_say(distance, momentum):
    """By epochs the sites take 2, 4 and 12 steps. What is left vanishes with the learning rate; FedAvg's stays."""
    train = co.Train(optimizer=co.SGD(lr=0.005, momentum=momentum), batch_size=5, epochs=1)
    nova, average = (distance(each, train, rounds=200) for each in (FedNova(momentum), FedAvg()))
    assert nova < 0.06 < 0.8 < average


@pytest.mark.parametrize(
    ("strategy", "optimizer", "message"),
    [
        (FedNova(), SGD(lr=1.0, momentum=0.9), "momentum 0.9 but FedNova has local_momentum=0.0"),
        (FedNova(0.9), SGD(lr=1.0), "momentum 0.0 but FedNova has local_momentum=0.9"),
        (FedNova(0.9), SGD(lr=1.0, momentum=0.9, nesterov=True), "plain momentum"),
        (FedNova(), Adam(lr=1.0), "defined for co.SGD"),
    ],
)
def test_an_optimizer_that_it_does_not_normalize_is_refused(strategy, optimizer, message):
    with pytest.raises(co.ComityError, match=message):
        strategy.accepts(co.Train(optimizer=optimizer, steps=1))


def test_running_statistics_are_averaged(told):
    strategy, name = FedNova(), "bn.running_var"
    state = strategy.init({name: np.array([1.0])}, Network(2))
    sites = [told(lambda _: {name: np.array([0.0])}, steps=1), told(lambda _: {name: np.array([0.5])}, steps=9)]
    parts = [strategy.local(state, {}, site)[0] for site in sites]
    assert strategy.step(state, gather(parts)).params[name] == 0.25
