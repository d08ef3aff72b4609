"""An experiment under RecordDP: what is refused, what each site's noise and statement are, that rows are sealed."""

import json
from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar, final

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

import comity as co
from comity.engine import stages
from comity.engine.promises import promised
from comity.frameworks import numpy as on_numpy
from comity.strategies.fedavg import State
from comity.values.errors import InvalidInput, NotSupported
from comity.values.model import Ability

DP = co.privacy.RecordDP(epsilon=2.0, delta=1e-3)


@pytest.fixture
def private(experiment):
    return replace(experiment, privacy=[DP])


@pytest.fixture
def seen(monkeypatch):
    """The trainings that were run."""
    found, fit = [], on_numpy.Linear.fit
    monkeypatch.setattr(on_numpy.Linear, "fit", lambda self, training: found.append(training) or fit(self, training))
    return found


def test_each_site_finds_its_own_noise_for_all_its_steps(private, sites, seen):
    few = co.Site("C", train=sites[0].train.take(np.arange(12)))
    run = co.simulate(private, [*sites, few])
    assert [len(training.rows) for training in seen[:3]] == [30, 30, 12]
    for training, rows in zip(seen[:3], (30, 30, 12), strict=True):
        rate, steps = 8 / rows, 3 * 4
        wanted = co.privacy.noise_multiplier(2.0, 1e-3, sampling_rate=rate, steps=steps)
        dp = training.dp_sgd
        assert (dp.noise_multiplier, dp.sampling_rate, dp.clip) == (wanted, rate, 1.0)
    assert run.statements.keys() == {"A", "B", "C"}
    for statement in run.statements.values():
        assert 1.98 < statement.epsilon <= 2.0
        assert (statement.delta, statement.unit, statement.steps) == (1e-3, "record", 12)
    assert run.statements["C"].sampling_rate == 8 / 12
    assert run.statements["C"].noise_multiplier > run.statements["A"].noise_multiplier


def test_noise_that_is_given_says_what_epsilon_it_comes_to(experiment, sites):
    given = co.privacy.RecordDP(noise_multiplier=1.5, sampling_rate=0.2, delta=1e-3, clip=0.5)
    run = co.simulate(replace(experiment, privacy=[given]), sites)
    wanted = co.privacy.epsilon(1e-3, noise_multiplier=1.5, sampling_rate=0.2, steps=12)
    assert {each.epsilon for each in run.statements.values()} == {wanted}
    assert wanted < inf


def test_a_simulation_repeats_its_noise_and_every_round_and_site_has_its_own(private, sites, seen):
    first, again = co.simulate(private, sites), co.simulate(private, sites)
    assert first.digest == again.digest
    assert co.simulate(replace(private, seed=1), sites).digest != first.digest
    assert len({training.dp_sgd.random(16) for training in seen[:6]}) == 6


def test_without_it_nothing_is_as_before_and_with_it_everything_moves(experiment, private, sites):
    clear, run = co.simulate(experiment, sites), co.simulate(private, sites)
    assert clear.statements == {}
    assert clear.digest != run.digest


def test_little_noise_and_no_clipping_come_to_the_clear_run_of_all_rows(experiment, sites):
    whole = replace(experiment, train=replace(experiment.train, batch_size=0))
    hardly = replace(whole, privacy=[co.privacy.RecordDP(noise_multiplier=1e-9, delta=1e-3, clip=1e3)])
    one, other = (co.tree.flatten(co.simulate(each, sites).model) for each in (whole, hardly))
    for path, leaf in one.items():
        np.testing.assert_allclose(other[path], leaf, atol=1e-5)


def test_it_composes_with_a_secure_sum_and_with_the_other_engine(private, sites):
    three = [*sites, replace(sites[0], name="C")]
    both = replace(private, privacy=[DP, co.privacy.SecureSum()])
    run, secure = co.simulate(private, three), co.simulate(both, three)
    auto = co.simulate(private, three, engine=co.Auto())
    for path, leaf in co.tree.flatten(run.model).items():
        np.testing.assert_allclose(co.tree.flatten(secure.model)[path], leaf, atol=1e-9)
        np.testing.assert_array_equal(co.tree.flatten(auto.model)[path], leaf)
    assert secure.statements == run.statements


@pytest.mark.parametrize(
    "strategy",
    [co.Scaffold(), co.strategies.FedDyn(), co.strategies.FedNova(), co.strategies.Ditto(), co.strategies.Median()],
    ids=lambda strategy: type(strategy).__name__,
)
def test_strategies_that_train_train_privately(private, sites, strategy, seen):
    run = co.simulate(replace(private, strategy=strategy), sites)
    assert all(training.dp_sgd is not None for training in seen)
    steps = 12 * strategy.fits
    assert {each.steps for each in run.statements.values()} == {steps}
    assert len(seen) * 4 == steps * len(sites)


@final
@dataclass(frozen=True)
class Odd(co.Strategy):
    """Reads what it may not."""

    how: str
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def init(self, params, network):
        return State(params, {})

    def local(self, state, memory, site):
        match self.how:
            case "twice":
                site.fit(state.params)
            case "rows":
                assert site.data.x.mean()
            case "gradient":
                site.gradient(state.params, np.arange(3))
            case "steps":
                site.steps()
            case "around":
                assert len(site.train) == 0
        fit = site.fit(state.params)
        return co.Contribution(fit.params, 1), memory

    def step(self, state, total):
        return State(total.mean(), {})


@pytest.mark.parametrize("how", ["rows", "gradient", "steps"])
def test_a_strategy_cannot_read_rows_itself(private, sites, how):
    with pytest.raises(NotSupported, match="Odd reads rows or gradients itself, which RecordDP neither clips nor"):
        co.simulate(replace(private, strategy=Odd(how)), sites)
    co.simulate(replace(private, privacy=(), strategy=Odd(how)), sites)
    co.simulate(replace(private, strategy=Odd("around")), sites)


def test_a_strategy_cannot_train_more_often_than_it_says(private, sites):
    with pytest.raises(
        NotSupported, match="Odd trains more often in a round than RecordDP accounts for; say in it fit"
    ):
        co.simulate(replace(private, strategy=Odd("twice")), sites)


def test_no_round_is_done_beyond_those_accounted_for(private):
    with pytest.raises(InvalidInput, match="accounts for 3 rounds, and this would be round 4"):
        stages.work(private, private.model, "A", round=4, run=private.model.fit, random=bytes)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_missing_numbers_are_said_rather_than_counted_as_nothing(private, sites, missing):
    x = sites[0].train.x.copy()
    x[0, 1] = missing
    bad = [replace(sites[0], train=(x, sites[0].train.targets)), sites[1]]
    with pytest.raises(InvalidInput, match="not finite"):
        co.simulate(private, bad)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"delta": 1e-3}, "either epsilon or noise_multiplier, not None and None"),
        ({"epsilon": 1.0, "noise_multiplier": 1.0, "delta": 1e-3}, "either epsilon or noise_multiplier, not 1.0 and 1"),
        ({"epsilon": 0.0, "delta": 1e-3}, "epsilon must be a number above 0"),
        ({"noise_multiplier": 0.0, "delta": 1e-3}, "noise_multiplier must be a number above 0"),
        ({"epsilon": 1.0, "delta": 0.0}, "delta must be a number above 0 and below 1"),
        ({"epsilon": 1.0, "delta": 1e-3, "clip": 0.0}, "clip must be a number above 0"),
        ({"epsilon": 1.0, "delta": 1e-3, "sampling_rate": 1.5}, "sampling_rate must be a number above 0 and up to 1"),
    ],
)
def test_settings_hold_together(settings, match):
    with pytest.raises(InvalidInput, match=match):
        co.privacy.RecordDP(**settings)


def test_a_delta_that_says_nothing_is_refused_at_the_site(private, sites):
    with pytest.raises(InvalidInput, match=r"delta=0.05 is not below 1/30, so one of 30 rows could be given away"):
        co.simulate(replace(private, privacy=[replace(DP, delta=0.05)]), sites)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"strategy": co.strategies.Statistics(), "model": None, "train": None},
            "Statistics trains none but reads rows",
        ),
        (
            {"strategy": co.strategies.SharedTrunk(trunk=("weight",))},
            "SharedTrunk takes single gradients, which RecordDP",
        ),
        (
            {
                "model": co.sklearn.Model(SGDClassifier(loss="log_loss"), 3, 2),
                "train": co.Train(optimizer=co.sklearn.Solver(), steps=4),
            },
            "RecordDP needs the gradients of single rows",
        ),
    ],
)
def test_what_it_cannot_protect_is_refused_at_construction(experiment, changes, match):
    with pytest.raises(NotSupported, match=match):
        replace(experiment, metrics=(), privacy=[DP], **changes)


def test_a_run_is_not_resumed_for_more_rounds_than_its_noise_was_for(private, sites, tmp_path):
    co.simulate(replace(private, rounds=2), sites, checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match="the checkpoint is of another experiment"):
        co.simulate(private, sites, checkpoint=tmp_path, resume=True)


def test_the_document_carries_it(experiment, private):
    assert co.read_experiment(private.to_json()) == private
    assert '"privacy":[{"delta":0.001,"epsilon":2,"type":"privacy.RecordDP"}]' in private.to_json()
    assert private.digest != experiment.digest


def test_the_report_says_what_is_promised(private, sites, tmp_path):
    run = co.simulate(private, sites)
    text = (run.save(tmp_path) / "summary.md").read_text()
    assert "for each record" in text
    assert "δ = 0.001" in text
    assert "zero-out" in text
    both = sum(each.epsilon for each in run.statements.values())
    assert f"with one record at each of them, {both:.4g}" in text
    held = json.loads((tmp_path / "metrics.json").read_text())["privacy"]["A"]
    assert (held["unit"], held["neighbours"], held["delta"]) == ("record", "zero-out", 1e-3)


def test_a_report_of_next_to_no_noise_is_json_all_the_same(experiment, sites, tmp_path):
    hardly = co.privacy.RecordDP(noise_multiplier=1e-9, delta=1e-3)
    run = co.simulate(replace(experiment, rounds=1, privacy=[hardly]), sites)
    assert run.statements["A"].epsilon == inf
    text = (run.save(tmp_path) / "metrics.json").read_text()
    assert "Infinity" not in text
    assert json.loads(text)["privacy"]["A"]["epsilon"] is None


def test_what_a_network_promises_is_what_was_asked_for(private):
    found = promised(private, ["A", "B"])
    assert {(each.epsilon, each.delta, each.unit, each.steps) for each in found.values()} == {
        (2.0, 1e-3, "record", None)
    }
    assert "as its number of rows asks for" in str(found["A"])
