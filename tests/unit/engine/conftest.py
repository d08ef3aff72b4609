"""Two sites of forty rows and a logistic model: small enough for every test of the engine."""

import numpy as np
import pytest

import comity as co


def site(name: str, seed: int, rows: int = 40) -> co.Site:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 3))
    y = (x[:, 0] + 0.5 * generator.normal(size=rows) > 0).astype(float)
    held = rows // 4
    return co.Site(name, train=(x[held:], y[held:]), test=(x[:held], y[:held]))


@pytest.fixture
def sites() -> list[co.Site]:
    return [site("B", 1), site("A", 2)]


@pytest.fixture
def experiment() -> co.Experiment:
    return co.Experiment(
        model=co.numpy.Linear(3, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=8, steps=4),
        strategy=co.FedAvg(),
        metrics=[co.metrics.accuracy, co.metrics.auc],
        rounds=3,
    )
