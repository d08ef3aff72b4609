"""Early stopping counts evaluations without improvement; the best is the first of equals."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comity as co
from comity.engine.stopping import best_index
from comity.values import codec
from comity.values.errors import InvalidInput


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.5], False),
        ([0.5, 0.5, 0.5], True),
        ([0.5, 0.4, 0.6], False),
        ([0.5, 0.4, 0.6, 0.6, 0.5], True),
        ([math.nan], False),
        ([math.nan, math.nan], True),
        ([math.nan, 0.1, 0.05], False),
    ],
)
def test_after_two_evaluations_without_improvement(values, stops):
    assert co.EarlyStopping("auc", patience=2).stops(values, "max") is stops
    assert co.EarlyStopping("auc", patience=2).stops([-value for value in values], "min") is stops


def test_an_improvement_is_more_than_min_delta():
    assert co.EarlyStopping("auc", patience=1, min_delta=0.1).stops([0.5, 0.6], "max")
    assert not co.EarlyStopping("auc", patience=1, min_delta=0.05).stops([0.5, 0.6], "max")


@pytest.mark.parametrize(
    "wrong", [{"patience": 0}, {"min_delta": -0.1}, {"min_delta": math.nan}, {"metric": co.metrics.auc}]
)
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(InvalidInput):
        co.EarlyStopping(**{"metric": "auc", **wrong})


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False)))
def test_the_best_is_the_first_of_the_largest(values):
    best = best_index(values, "max")
    numbers = [value for value in values if not math.isnan(value)]
    assert (best is None) == (not numbers)
    if best is not None:
        assert values[best] == max(numbers)
        assert values.index(max(numbers)) == best
        assert best_index([-value for value in values], "min") == best


def test_a_run_stops_and_keeps_its_best_round(experiment, sites):
    personal = replace(experiment, strategy=co.strategies.Ditto())
    stopping = replace(personal, rounds=30, best="auc", stop=co.EarlyStopping("auc", patience=3))
    run = co.simulate(stopping, sites)
    values = run.series("auc")[1]
    assert len(run.history) == len(values) < 30
    assert run.round == values.index(max(values)) + 1
    assert len(values) - run.round >= 3
    until = co.simulate(replace(personal, rounds=run.round), sites)
    assert run.digest == until.digest
    for site in sites:
        assert codec.digest(run.memory(site.name)) == codec.digest(until.memory(site.name))


def test_best_and_stop_need_test_rows(experiment, sites):
    bare = [co.Site(site.name, site.train) for site in sites]
    for named in ({"best": "auc"}, {"stop": co.EarlyStopping("auc")}):
        with pytest.raises(InvalidInput, match="no site has test rows"):
            co.simulate(replace(experiment, **named), bare)
    assert co.simulate(experiment, bare).scores("auc") == (None, None)
