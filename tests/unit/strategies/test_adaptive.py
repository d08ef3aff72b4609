"""FedAdam, FedYogi and FedAdagrad by hand: two rounds of one number, mean updates 1 and then -2."""

from math import sqrt

import numpy as np
import pytest

from comity.strategies import FedAdagrad, FedAdam, FedYogi
from comity.values.contribution import Contribution
from comity.values.strategy import Network

SETTINGS = {"server_lr": 0.1, "beta1": 0.5, "tau": 0.25}
FIRST = (0.5, 0.5 * 0.5 + 0.5 * -2)  # m: 0.5, then -0.75


@pytest.mark.parametrize(
    ("strategy", "second"),
    [
        (FedAdam(beta2=0.75, **SETTINGS), (0.25, 0.75 * 0.25 + 0.25 * 4)),
        # sign(0 - 1) = -1 and sign(0.25 - 4) = -1: v grows by (1 - beta2) · d²
        (FedYogi(beta2=0.75, **SETTINGS), (0.25, 0.25 + 0.25 * 4)),
        (FedAdagrad(**SETTINGS), (1.0, 1.0 + 4.0)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_two_rounds(strategy, second):
    state = strategy.init({"w": np.array([3.0])}, Network(2))
    wanted = 3.0
    for update, m, v in zip((1.0, -2.0), FIRST, second, strict=True):
        state = strategy.step(state, Contribution({"w": np.array([4 * update])}, 4))
        wanted += 0.1 * m / (sqrt(v) + 0.25)
        assert state.params["w"] == pytest.approx(wanted, rel=1e-12)
    assert state.first["w"] == pytest.approx(FIRST[1])
    assert state.second["w"] == pytest.approx(second[1])


def test_yogi_lets_the_second_moment_fall_by_the_square_of_a_small_update():
    strategy = FedYogi(beta2=0.9)
    state = strategy.init({"w": np.array([0.0])}, Network(1))
    state = strategy.step(state, Contribution({"w": np.array([10.0])}, 1))  # v = 0.1 · 100
    state = strategy.step(state, Contribution({"w": np.array([1.0])}, 1))  # v = 10 - 0.1 · 1
    assert state.second["w"] == pytest.approx(9.9)


def test_running_statistics_are_averaged():
    strategy = FedAdam(server_lr=10.0)
    state = strategy.init({"bn.running_var": np.array([1.0]), "w": np.array([0.0])}, Network(1))
    total = Contribution({"bn.running_var": np.array([-1.0]), "w": np.array([1.0])}, 4)
    assert strategy.step(state, total).params["bn.running_var"] == 0.75
