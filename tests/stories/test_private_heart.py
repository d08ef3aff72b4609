"""Heart disease under RecordDP is as accurate as FLamby's published figures at the same ε, or more.

Published: owkin/FLamby @ edacf54, flamby/dp_example/results_fed_heart_disease.csv (means over four hospitals, seeds 42
to 46). Settings are those that `python -m bench.private_heart` finds on training rows alone.
"""

from dataclasses import replace
from statistics import fmean

import pytest

import comity as co

PUBLISHED = {1.0: 0.7015, 5.0: 0.6997, 10.0: 0.6981}

CHOSEN = {1.0: (15, 1), 5.0: (5, 4), 10.0: (5, 4)}
"""Rounds, and steps in each."""


def private(epsilon):
    rounds, steps = CHOSEN.get(epsilon, (5, 4))
    return co.Experiment(
        model=co.numpy.Linear(features=13, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=0.3), batch_size=0, steps=steps),
        strategy=co.FedAvg(),
        metrics=[co.metrics.accuracy, co.metrics.log_loss],
        rounds=rounds,
        evaluate_every=rounds,
        privacy=[co.privacy.RecordDP(epsilon=epsilon, delta=1e-3, clip=1.0)],
    )


@pytest.fixture(scope="module")
def hospitals():
    return co.data.heart()


@pytest.mark.parametrize("epsilon", PUBLISHED)
def test_accuracy_is_as_published_or_better(hospitals, epsilon):
    rounds, steps = CHOSEN[epsilon]
    runs = [co.simulate(replace(private(epsilon), seed=seed), hospitals) for seed in range(42, 47)]
    assert fmean(run.scores("accuracy")[0] for run in runs) > PUBLISHED[epsilon]
    for statement in runs[0].statements.values():
        assert statement.epsilon == pytest.approx(epsilon, rel=1e-9)
        assert (statement.delta, statement.steps, statement.sampling) == (1e-3, rounds * steps, "none")
    switzerland, cleveland = (runs[0].statements[name] for name in ("Switzerland", "Cleveland"))
    assert switzerland.noise_multiplier == cleveland.noise_multiplier  # all rows are in every step


def test_the_learning_rate_is_the_one_that_training_rows_choose(hospitals):
    rates = [f"train.optimizer.lr={lr}" for lr in (0.03, 0.1, 0.3, 1.0)]
    found = co.cross_validate(private(1.0), hospitals, rates, metric="log_loss")
    assert found.best.train.optimizer.lr == 0.3


def test_more_privacy_than_the_rows_can_bear_costs_what_it_must(hospitals):
    """At ε = .05 the noise of twenty steps is some hundred times the clip: nothing is learnt."""
    run = co.simulate(replace(private(0.05), seed=42), hospitals)
    assert run.scores("log_loss")[1] > 0.693  # that of guessing
