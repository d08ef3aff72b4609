"""Columns have names, and what is in another order is never taken for the same."""

import numpy as np
import pandas as pd
import pytest

import comity as co
from comity.values.errors import InvalidInput

GENERATOR = np.random.default_rng(1)
PEOPLE = pd.DataFrame({name: GENERATOR.normal(size=30) for name in ("age", "male", "bmi")})
EVENT = pd.Series(GENERATOR.integers(0, 2, 30))
ORDERED, OTHERWISE = ["age", "male", "bmi"], ["bmi", "male", "age"]
EXPERIMENT = co.Experiment(
    model=co.numpy.Linear(3, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), steps=2),
    strategy=co.FedAvg(),
    metrics=[co.metrics.auc],
)


def site(name, columns, test=None):
    return co.Site(name, (PEOPLE[columns], EVENT), (PEOPLE[test or columns], EVENT))


@pytest.fixture
def run():
    return co.simulate(EXPERIMENT, [site("A", ORDERED), site("B", ORDERED)])


def test_predictions_are_for_the_columns_of_the_training_rows(run):
    assert run.columns == tuple(ORDERED)
    with pytest.raises(InvalidInput, match=r"these rows and of the rows the model was trained on differ.*'bmi' and"):
        run.predict(PEOPLE[OTHERWISE])
    np.testing.assert_array_equal(run.predict(PEOPLE[ORDERED]), run.predict(PEOPLE[ORDERED].to_numpy()))


@pytest.mark.parametrize("lazy", [False, True])
def test_sites_have_the_same_columns(lazy):
    sites = [site("A", ORDERED), site("B", OTHERWISE)]
    with pytest.raises(InvalidInput, match="of site 'A' and of site 'B' differ, first in column 1: 'age' and 'bmi'"):
        co.simulate(EXPERIMENT, {each.name: lambda each=each: each for each in sites} if lazy else sites)


def test_test_rows_have_the_columns_of_the_training_rows(run):
    other = [co.Site("C", test=(PEOPLE[OTHERWISE], EVENT))]
    with pytest.raises(InvalidInput, match="of site 'C' and of the rows the model was trained on differ"):
        run.evaluate(other)
    with pytest.raises(InvalidInput, match="of site 'C' and of the training rows differ"):
        co.simulate(EXPERIMENT, [site("A", ORDERED)], tests=other)
    assert run.evaluate([co.Site("C", test=(PEOPLE[ORDERED], EVENT))])[0]["auc"] > 0


def test_rows_without_names_are_trusted():
    mixed = [site("A", ORDERED), co.Site("B", (PEOPLE[ORDERED].to_numpy(), EVENT.to_numpy()))]
    assert co.simulate(EXPERIMENT, mixed).columns == tuple(ORDERED)


@pytest.mark.parametrize("where", ["train", "test"])
@pytest.mark.parametrize("metric", [co.metrics.auc, lambda y, p: float(np.mean(p))])
def test_missing_values_are_named_by_site_and_column(where, metric):
    holes = PEOPLE.where(PEOPLE["bmi"] < 1)
    rows = {"train": (PEOPLE, EVENT), "test": (PEOPLE, EVENT), where: (holes, EVENT)}
    experiment = co.Experiment(
        model=EXPERIMENT.model, train=EXPERIMENT.train, strategy=co.FedAvg(), metrics=[metric], rounds=2
    )
    with pytest.raises(InvalidInput, match=r"site 'A': column 'age' of x has \d+ NaN; leave these rows out or fill"):
        co.simulate(experiment, [co.Site("A", **rows)])


def test_a_metric_that_cannot_be_taken_is_named():
    sites = [site("A", ORDERED)]
    experiment = co.Experiment(
        model=co.numpy.Linear(3), train=EXPERIMENT.train, strategy=co.FedAvg(), metrics=[co.metrics.auc]
    )
    with pytest.raises(InvalidInput, match="metric auc: this metric needs probabilities"):
        co.simulate(experiment, sites)
