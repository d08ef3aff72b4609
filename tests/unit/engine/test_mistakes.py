"""What is easily got wrong is answered in one sentence that names it, and never by an error from inside."""

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import pytest

import comity as co
from comity.values.errors import InvalidInput


@final
@dataclass(frozen=True)
class State:
    params: co.tree.Tree


@final
@dataclass(frozen=True)
class Own(co.Strategy):
    """Does what it is told, right or wrong."""

    begun: Any = None
    given: Any = None
    stepped: Any = None
    several: bool = False

    def init(self, params, network):
        return State(params) if self.begun is None else self.begun

    def local(self, state, memory, site):
        if self.several:
            return self._several()
        return self.given

    def _several(self):
        yield self.given
        return co.Contribution({}, 1), {}

    def step(self, state, total):
        return self.stepped


PART = co.Contribution({"w": np.zeros(1)}, 1)


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        (Own(begun={}), "Own.init must return a state, a frozen dataclass; it returned a dict"),
        (Own(), "Own.local must return (contribution, memory), a co.Contribution and a tree; it returned nothing"),
        (Own(given=PART), "and a tree; it returned a Contribution"),
        (Own(given={"w": np.zeros(1)}), "and a tree; it returned a dict"),
        (Own(given=({"w": np.zeros(1)}, {})), "and a tree; it returned (a dict, a dict)"),
        (Own(given=(PART, None)), "and a tree; it returned (a Contribution, a NoneType)"),
        (Own(given=(PART, {})), "Own.step must return the next State, as init does; it returned nothing"),
        (Own(given=(PART, {}), stepped={}), "the next State, as init does; it returned a dict"),
        (Own(given={"w": 1}, several=True), "a dict cannot be added; a site gives a co.Contribution(tree, weight)"),
    ],
)
def test_a_strategy_of_ones_own_is_told_what_each_method_returns(experiment, sites, strategy, sentence):
    with pytest.raises(InvalidInput) as caught:
        co.simulate(replace(experiment, strategy=strategy), sites)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"engine": "auto"}, r"engine must be co\.Plain\(\) or co\.Auto\(\), not 'auto'"),
        ({"dropout": 0.3}, r"dropout must be one such as co\.Dropout\(probability=0\.3\), not 0\.3"),
    ],
)
def test_a_simulation_is_told_what_its_parts_are(experiment, sites, how, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        co.simulate(experiment, sites, **how)


def test_rows_are_no_sites(experiment, sites):
    rows, run = sites[0].train, co.simulate(experiment, sites)
    for ask in (run.evaluate, co.partition.summary, co.partition.plot, co.partition.fingerprint):
        with pytest.raises(InvalidInput, match=r"sites must be a list of co\.Site values, not Rows"):
            ask(rows)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strategy": co.FedAvg(sites_per_round=3)}, "sites_per_round is 3 but there are 2 sites; lower it"),
        ({"quorum": 3}, "the quorum is 3 but a round has at most 2 sites; lower it"),
        (
            {"strategy": co.FedAvg(sites_per_round=1), "quorum": 2},
            "the quorum is 2 but a round has at most 1 sites",
        ),
    ],
)
def test_more_sites_than_there_are_cannot_be_asked_for(experiment, sites, changes, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        co.simulate(replace(experiment, **changes), sites)


def test_a_run_taken_up_for_fewer_rounds_says_how_many_were_done(experiment, sites, tmp_path):
    co.simulate(experiment, sites, checkpoint=tmp_path / "kept")
    run = co.simulate(replace(experiment, rounds=1), sites, checkpoint=tmp_path / "kept", resume=True)
    assert run.table().title.startswith("round 3 of 3,")
    assert "3 of 3 rounds were run" in (run.save(tmp_path) / "summary.md").read_text()


@pytest.mark.parametrize("columns", [(), ("age", "sex", "bmi/2")])
def test_statistics_over_other_columns_name_them(columns):
    sites = [co.Site("A", co.Rows(np.zeros((3, 3)), None, columns)), co.Site("B", np.zeros((3, 2)))]
    with pytest.raises(InvalidInput) as caught:
        co.simulate(co.Experiment(strategy=co.strategies.Statistics()), sites)
    assert str(caught.value).startswith("the sites' columns differ, by name or in order: '")
    assert (columns[2] if columns else "'x2'") in str(caught.value)
    assert "0000" not in str(caught.value)


def test_a_target_that_does_not_vary_is_no_regression():
    site = co.Site("A", (np.arange(6.0).reshape(6, 1), np.full(6, 3.1)))
    for l2 in (0.0, 0.1):
        with pytest.raises(InvalidInput, match=r"y is 3\.1 in all 6 rows; there is nothing to regress on x"):
            co.simulate(co.Experiment(strategy=co.strategies.LinearRegression(l2=l2)), [site])


def test_types_have_their_article():
    with pytest.raises(InvalidInput, match=r"not an int$"):
        co.Rows(5)
