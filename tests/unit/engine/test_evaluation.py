"""Metrics over all sites are those of the pooled rows; those of a site are its own."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import comity as co
from comity.values.model import Ability


def test_pooled_is_over_all_rows_and_each_site_has_its_own(experiment, sites):
    run = co.simulate(experiment, sites)
    x = np.concatenate([site.test.x for site in sites])
    y = np.concatenate([site.test.targets for site in sites])
    last = run.history[-1]
    assert last.pooled["accuracy"] == pytest.approx(((run.predict(x) > 0.5) == y).mean())
    assert last.pooled["auc"] == pytest.approx(roc_auc_score(y, run.predict(x)), abs=0.02)
    for site in sites:
        right = (run.predict(site.test.x) > 0.5) == site.test.targets
        assert last.sites[site.name]["accuracy"] == pytest.approx(right.mean())
    assert run.scores("accuracy")[0] == pytest.approx(np.mean([last.sites[name]["accuracy"] for name in "AB"]))


def test_sites_without_test_rows_are_left_out(experiment, sites):
    bare = replace(sites[0], test=None)
    empty = co.Site("C", sites[0].train, (np.zeros((0, 3)), np.zeros(0)))
    run = co.simulate(experiment, [bare, sites[1], empty])
    assert list(run.history[-1].sites) == ["A"]
    assert run.history[-1].pooled == run.history[-1].sites["A"]


def test_tests_may_be_other_sites_than_those_that_train(experiment, sites):
    run = co.simulate(experiment, sites[:1], tests=sites)
    assert list(run.history[-1].sites) == ["A", "B"]
    assert run.evaluate(sites) == (run.history[-1].pooled, run.history[-1].sites)


@pytest.mark.parametrize(("every", "rounds"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (5, [5]), (9, [5])])
def test_it_is_evaluated_every_so_many_rounds_and_after_the_last(experiment, sites, every, rounds):
    run = co.simulate(replace(experiment, rounds=5, evaluate_every=every), sites)
    assert run.series("auc")[0] == rounds


def test_personal_models_are_measured_as_such(experiment, sites):
    run = co.simulate(replace(experiment, strategy=co.strategies.Ditto()), sites)
    for site in sites:
        right = (run.predict(site.test.x, site=site.name) > 0.5) == site.test.targets
        assert run.history[-1].sites[site.name]["accuracy"] == pytest.approx(right.mean())


def test_baselines_are_the_same_experiment_without_the_others(experiment, sites):
    run = co.simulate(experiment, sites, baselines=["local", "pooled"])
    assert list(run.baselines) == ["B", "A", "pooled"]
    assert run.baselines["A"].digest == co.simulate(experiment, [sites[1]]).digest
    together = co.Site(
        "pooled",
        (
            np.concatenate([site.train.x for site in sites[::-1]]),
            np.concatenate([site.train.targets for site in sites[::-1]]),
        ),
    )
    assert run.baselines["pooled"].digest == co.simulate(experiment, [together]).digest
    assert list(run.baselines["A"].history[-1].sites) == ["A", "B"], "measured on everybody's test rows"


@final
@dataclass(frozen=True)
class Forgetful(co.Strategy):
    """FedAvg that remembers every other round only."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def init(self, params, network):
        return co.FedAvg().init(params, network)

    def local(self, state, memory, site):
        contribution, _ = co.FedAvg().local(state, {}, site)
        return contribution, {} if memory else {"seen": np.ones(1)}

    def step(self, state, total):
        return co.FedAvg().step(state, total)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_memory_that_is_emptied_is_empty(experiment, sites, checkpoint, tmp_path):
    for rounds in (1, 2, 3, 4):
        folder = tmp_path / str(rounds) if checkpoint else None
        run = co.simulate(replace(experiment, strategy=Forgetful(), rounds=rounds), sites, checkpoint=folder)
        assert bool(run.memory("A")) == (rounds % 2 == 1)
