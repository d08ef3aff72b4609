"""A run is nothing but its rounds: what each site is given, and in which order it is added up."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import pytest

import comity as co
from comity.values.errors import InvalidInput
from comity.values.model import Ability, Training
from comity.values.seed import derive


def test_federated_averaging_is_its_two_lines(experiment, sites):
    model, params = experiment.model, experiment.model.init(experiment.seed)
    for number in (1, 2, 3):
        fits = [
            model.fit(
                Training(
                    params=params,
                    rows=site.train,
                    train=experiment.train,
                    seed=derive(experiment.seed, "round", number, site.name),
                )
            )
            for site in sorted(sites, key=lambda site: site.name)
        ]
        rows = sum(fit.rows for fit in fits)
        params = {name: sum(fit.rows / rows * fit.params[name] for fit in fits) for name in params}
    run = co.simulate(experiment, sites)
    for name in params:
        np.testing.assert_allclose(run.model[name], params[name], rtol=1e-12)


@final
@dataclass(frozen=True)
class Choosing(co.Strategy):
    """Selects whom it is told to and writes down what every site is given."""

    whom: Any
    given: list[Any] = field(default_factory=list, compare=False)
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def init(self, params, network):
        self.given.append(network.sites)
        return co.FedAvg().init(params, network)

    def select(self, state, round, sites, seed):
        self.given.append((round, tuple(sites), seed))
        return self.whom

    def local(self, state, memory, site):
        self.given.append((site.name, site.work.seed))
        return co.FedAvg().local(state, memory, site)

    def step(self, state, total):
        return co.FedAvg().step(state, total)


def test_every_site_and_round_has_a_seed_of_its_own(experiment, sites):
    strategy = Choosing(["B", "A"])
    co.simulate(replace(experiment, strategy=strategy, seed=5), sites)
    assert strategy.given[:4] == [2, (1, ("A", "B"), 5), ("A", strategy.given[2][1]), ("B", strategy.given[3][1])]
    seeds = [each[1] for each in strategy.given[1:] if isinstance(each[0], str)]
    assert len(set(seeds)) == 6


def test_a_site_that_is_selected_twice_takes_part_once(experiment, sites):
    run = co.simulate(replace(experiment, strategy=Choosing(["B", "B", "A"])), sites)
    assert run.history[0].included == ("A", "B")
    assert run.digest == co.simulate(experiment, sites).digest


def test_a_site_that_there_is_not_cannot_be_selected(experiment, sites):
    with pytest.raises(InvalidInput, match="there is no site 'C' among the 2 of this run"):
        co.simulate(replace(experiment, strategy=Choosing(["C"])), sites)


def test_a_finished_strategy_ends_the_run(sites):
    run = co.simulate(co.Experiment(strategy=co.strategies.Statistics(), rounds=50), sites)
    assert len(run.history) < 5


def test_the_experiment_comes_first(experiment, sites):
    with pytest.raises(InvalidInput, match=r"the first argument must be a co\.Experiment, not"):
        co.simulate(sites, experiment)


def test_baselines_have_names(experiment, sites):
    with pytest.raises(InvalidInput, match="there is no baseline 'poled'; did you mean 'pooled'"):
        co.simulate(experiment, sites, baselines=["poled"])
    assert list(co.simulate(experiment, sites, baselines="pooled").baselines) == ["pooled"]


def test_a_progress_bar_is_shown_when_asked_for(experiment, sites, capsys):
    co.simulate(experiment, sites, progress=False)
    assert capsys.readouterr().err == ""
    run = co.simulate(experiment, sites, progress=True, baselines=["local"])
    assert len(run.history) == 3
