"""What a run gives back can be used carelessly without changing it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import comity as co

X = np.array([[0.0, 1], [2, 5], [1, 3], [4, 2], [3, 3], [6, 1]])
SITES = [co.Site(name, (X, np.array([0.0, 1, 0, 1, 0, 1])), (X, np.array([0.0, 1, 0, 1, 0, 1]))) for name in "ab"]
EXPERIMENT = co.Experiment(
    model=co.numpy.Linear(2, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.01), steps=2),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy],
    rounds=3,
)


@pytest.mark.parametrize("given", [X.tolist(), pd.DataFrame(X)], ids=["lists", "a data frame"])
def test_predictions_for_what_makes_an_array(given):
    run = co.simulate(EXPERIMENT, SITES)
    assert np.array_equal(run.predict(given), run.predict(X))


def test_the_model_cannot_be_written_into():
    run = co.simulate(EXPERIMENT, SITES)
    for params in (run.model, run.model_at("a")):
        with pytest.raises(ValueError, match="read-only"):
            params["weight"][0] = 7.0


def test_a_gradient_that_writes_into_its_parameters_fails_at_its_site():
    def gradient(params, x, y):
        params["w"] += 1.0
        return {"w": x.T @ y}, 0.0

    careless = co.numpy.Model(lambda generator: {"w": np.zeros(2)}, gradient, lambda params, x: x @ params["w"])
    with pytest.raises(ValueError, match="read-only") as caught:
        co.simulate(replace(EXPERIMENT, model=careless, metrics=()), SITES)
    assert caught.value.__notes__ == ["at site 'a' in round 1"]


def test_statistics_take_the_rounds_they_need():
    assert len(co.simulate(co.Experiment(strategy=co.strategies.LinearRegression()), SITES).history) == 2
    assert len(co.simulate(replace(EXPERIMENT, rounds=None), SITES).history) == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, ""),
        ({"best": "accuracy"}, "; round chosen by accuracy on these test rows"),
        ({"stop": co.EarlyStopping("accuracy", patience=1)}, "; stopped by accuracy on these test rows"),
        ({"stop": co.EarlyStopping("accuracy", patience=9)}, ""),
    ],
)
def test_the_table_says_what_its_test_rows_decided(how, said):
    table = co.simulate(replace(EXPERIMENT, **how), SITES).table()
    assert table.title.endswith(f", 2 sites{said}")
