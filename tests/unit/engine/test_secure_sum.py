"""An experiment under secure sum: what is refused, and a simulation that is the clear one but for rounding."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pytest

import comity as co
from comity.engine import masked
from comity.privacy import aggregator, masks
from comity.values.errors import InvalidInput, NotSupported, RoundFailed

SECURE = [co.privacy.SecureSum()]


def site(name, seed, rows=40):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 3))
    y = (x[:, 0] + 0.5 * generator.normal(size=rows) > 0).astype(float)
    return co.Site(name, train=(x[10:], y[10:]), test=(x[:10], y[:10]))


@pytest.fixture
def five():
    return [site(name, seed) for seed, name in enumerate("BADCE")]


@pytest.fixture
def secure(experiment):
    return replace(experiment, privacy=SECURE)


def close(one, other, tolerance=1e-9):
    for path, leaf in co.tree.flatten(one).items():
        np.testing.assert_allclose(co.tree.flatten(other)[path], leaf, atol=tolerance)


def test_it_is_the_clear_run_within_the_bound_that_the_result_says(experiment, secure, five):
    once = replace(experiment, rounds=1)
    clear, run = co.simulate(once, five), co.simulate(replace(once, privacy=SECURE), five)
    bound = run.history[0].error
    assert 0 < bound < 1e-9
    close(clear.model, run.model, bound / 150 + 1e-15)  # the mean's, of 150 rows
    close(co.simulate(experiment, five).model, co.simulate(secure, five).model)
    assert clear.history[0].error is None
    assert run.history[0].clipped == 0


def test_summed_metrics_are_those_of_the_clear_run_and_no_sites_own_are_there(experiment, secure, five):
    clear, run = co.simulate(experiment, five), co.simulate(secure, five)
    for one, other in zip(clear.history, run.history, strict=True):
        assert other.pooled == pytest.approx(one.pooled, abs=1e-7)
        assert other.sites == {}
    assert run.scores("auc") == (None, clear.scores("auc")[1])
    assert run.series("accuracy") == clear.series("accuracy")
    run.plot()


def test_the_state_machines_really_run(secure, five, monkeypatch):
    seen, begun, applied, apply = [], aggregator.begin, [], masks.apply
    monkeypatch.setattr(aggregator, "begin", lambda terms: seen.append(terms) or begun(terms))
    monkeypatch.setattr(masks, "apply", lambda *given: applied.append(given) or apply(*given))
    co.simulate(secure, five)
    assert [terms.sum for terms in seen] == [
        f"{what}{number}, sum 1" for number in (1, 2, 3) for what in ("round ", "metrics of round ")
    ]
    assert all(sorted(terms.roster) == list("ABCDE") for terms in seen)
    assert len(applied) == 6 * (5 + 1)  # at each site, and taken off the sum


@pytest.mark.parametrize("falls", range(masked.FALLS))
def test_who_falls_out_at_whichever_message_is_missing_and_the_sum_goes_on(
    experiment, secure, five, monkeypatch, falls
):
    monkeypatch.setattr(masked, "FALLS", 1)
    monkeypatch.setattr(masked, "derive", lambda seed, *names: falls if names[0] == "falls out" else 7)
    dropout = co.Dropout(schedule={1: ["A"], 2: ["E"]})
    run, clear = co.simulate(secure, five, dropout=dropout), co.simulate(experiment, five, dropout=dropout)
    close(clear.model, run.model)
    assert [each.missing for each in run.history] == [("A",), ("E",), ()]
    assert [each.included for each in run.history] == [each.included for each in clear.history]


def test_a_round_needs_more_than_two_thirds_of_the_sites(secure, five):
    with pytest.raises(RoundFailed, match="round 2: 3 of 5 sites were there but the quorum is 4"):
        co.simulate(secure, five, dropout=co.Dropout(schedule={2: ["A", "B"]}))


def test_a_run_can_be_repeated_and_resumed_to_the_last_bit(secure, five, tmp_path):
    run = co.simulate(secure, five)
    assert run.digest == co.simulate(secure, five).digest
    first = co.simulate(replace(secure, rounds=2), five, checkpoint=tmp_path)
    resumed = co.simulate(secure, five, checkpoint=tmp_path, resume=True)
    assert resumed.digest == run.digest
    assert resumed.history[0].error == first.history[0].error


def test_an_engine_that_vectorizes_gives_its_sums_to_the_same_machines(secure, five):
    close(co.simulate(secure, five).model, co.simulate(secure, five, engine=co.Auto()).model)


def test_sums_at_every_step_are_masked_each(five):
    experiment = co.Experiment(strategy=Twice(), rounds=1, privacy=SECURE)
    made = co.simulate(experiment, five).state.params
    assert made["first"] == pytest.approx(150)
    assert made["last"] == pytest.approx(5 * 150)


@final
@dataclass(frozen=True)
class State:
    params: dict


@final
@dataclass(frozen=True)
class Twice(co.Strategy):
    """Counts rows, and then adds up the total that everybody was told."""

    def init(self, params, network):
        return State({})

    def local(self, state, memory, site):
        total = yield co.Contribution({"rows": np.array(float(len(site.train)))}, 1)
        return co.Contribution({"last": total.total["rows"], "first": np.array(30.0)}, 1), memory

    def step(self, state, total):
        return State(dict(total.total))

    def predict(self, model, x):
        return np.zeros(len(x))


@pytest.mark.parametrize(
    "strategy", [co.strategies.LinearRegression(), co.strategies.Statistics(), co.strategies.LogisticRegression()]
)
def test_statistics_and_classical_models_are_those_of_the_clear_run(strategy, five):
    experiment = co.Experiment(strategy=strategy)
    clear, run = co.simulate(experiment, five), co.simulate(replace(experiment, privacy=SECURE), five)
    for one, other in zip(clear.table().rows, run.table().rows, strict=True):
        for cell, secure in zip(one, other, strict=True):
            assert secure == (pytest.approx(cell, rel=1e-6, abs=1e-7) if isinstance(cell, float) else cell)


def test_statistics_are_refused_where_they_would_be_clipped(five):
    narrow = [co.privacy.SecureSum(clip=1e-6, max_weight=1000)]
    experiment = co.Experiment(strategy=co.strategies.LinearRegression(), privacy=narrow)
    with pytest.raises(InvalidInput, match="goes into this secure sum; raise clip"):
        co.simulate(experiment, five)


def test_what_is_clipped_is_counted_in_the_result_and_its_report(experiment, five, tmp_path):
    narrow = replace(experiment, privacy=[co.privacy.SecureSum(clip=1e-4, bits=32, max_weight=100)])
    run = co.simulate(narrow, five)
    assert run.history[0].clipped > 0
    for leaf in co.tree.flatten(co.tree.sub(run.model, co.numpy.Linear(3, loss="logistic").init(0))).values():
        assert np.abs(leaf).max() <= 3 * 1e-4 + 1e-6
    text = (run.save(tmp_path) / "summary.md").read_text()
    assert f"{sum(each.clipped for each in run.history)} were clipped" in text
    assert "is off by at most" in text


def test_sixteen_bits_are_enough_where_clip_and_weights_are_near(experiment, five):
    once = replace(experiment, rounds=1)
    run = co.simulate(replace(once, privacy=[co.privacy.SecureSum(clip=0.5, bits=16, max_weight=30)]), five)
    assert run.history[0].error == 5 * 2.0**-8
    assert run.history[0].clipped == 0
    close(co.simulate(once, five).model, run.model, run.history[0].error / 150 + 1e-9)


def test_a_plain_function_is_a_mean_over_sites(experiment, five):
    def largest(y, predictions):
        return float(np.max(np.abs(y - predictions)))

    experiment = replace(experiment, metrics=[largest], rounds=1)
    clear, run = co.simulate(experiment, five), co.simulate(replace(experiment, privacy=SECURE), five)
    assert run.scores("largest") == (pytest.approx(clear.scores("largest")[0], abs=1e-7), None)


def test_baselines_are_run_in_the_clear(experiment, secure, five):
    run, clear = (co.simulate(each, five, baselines=["local", "pooled"]) for each in (secure, experiment))
    assert {name: each.digest for name, each in run.baselines.items()} == {
        name: each.digest for name, each in clear.baselines.items()
    }


def test_metrics_of_two_sites_are_refused(secure, five):
    few = [replace(each, test=None) for each in five[:3]] + five[3:]
    with pytest.raises(NotSupported, match="at least 3 sites besides the aggregator's own, not 2"):
        co.simulate(secure, few)


def test_sites_with_other_arrays_are_named(five):
    short = co.Site("F", train=(np.ones((9, 2)), np.ones(9)))
    experiment = co.Experiment(strategy=co.strategies.LinearRegression(), privacy=SECURE)
    with pytest.raises(InvalidInput, match="the sites' columns differ"):
        co.simulate(experiment, [*five, short])


@pytest.mark.parametrize(
    ("strategy", "match"),
    [
        (co.strategies.Median(), "Median must see every site's contribution by itself"),
        (co.FedAvg(sites_per_round=2), "at least 3 sites besides the aggregator's own, not 2"),
        (co.FedAvg(sites_per_round=41), "up to 40 organizations, not 41"),
    ],
)
def test_what_cannot_be_summed_securely_is_refused_at_construction(experiment, strategy, match):
    with pytest.raises(NotSupported, match=match):
        replace(experiment, strategy=strategy, privacy=SECURE)


@pytest.mark.parametrize(
    ("privacy", "match"),
    [
        (co.privacy.SecureSum(), "privacy must be a list such as"),
        ([co.privacy.SecureSum], "privacy must be a list such as"),
        ([co.privacy.SecureSum(), co.privacy.SecureSum(clip=1.0)], "privacy holds two of SecureSum"),
    ],
)
def test_privacy_is_a_list_of_different_transforms(experiment, privacy, match):
    with pytest.raises(InvalidInput, match=match):
        replace(experiment, privacy=privacy)


def test_more_sites_must_be_drawn_than_the_least(experiment):
    with pytest.raises(InvalidInput, match="FedAvg draws 4 sites for a round, but SecureSum asks for 5"):
        replace(experiment, strategy=co.FedAvg(sites_per_round=4), privacy=[co.privacy.SecureSum(least=5)])


@pytest.mark.parametrize(("sites", "match"), [(2, "at least 3 sites .* not 2"), (41, "up to 40 organizations, not 41")])
def test_too_few_and_too_many_sites_are_refused_before_anything_runs(secure, sites, match):
    with pytest.raises(NotSupported, match=match):
        co.simulate(secure, [site(f"s{number}", number) for number in range(sites)])


def test_the_least_is_asked_for_where_there_are_fewer_sites(experiment, five):
    with pytest.raises(InvalidInput, match="at least 6 sites, but a round has 5"):
        co.simulate(replace(experiment, privacy=[co.privacy.SecureSum(least=6)]), five)


def test_a_strategy_that_selects_one_site_is_refused_when_it_does(experiment, five):
    with pytest.raises(NotSupported, match="at least 3 sites besides the aggregator's own, not 1"):
        co.simulate(replace(experiment, strategy=co.strategies.Cyclic(), privacy=SECURE), five)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"clip": 0.0}, "clip must be a number above 0"),
        ({"norm": -1.0}, "norm must be a number above 0"),
        ({"bits": 8}, "bits must be 16, 32 or 64, not 8"),
        ({"bits": 16}, "1048576 and floats up to 8 for each unit do not fit 16 bits; lower max_weight or clip"),
        ({"max_weight": 0}, "max_weight must be a whole number of at least 1"),
        ({"least": 2}, "least must be a whole number of at least 3"),
        ({"least": 41}, "least must be at most 40"),
        ({"clip": 1e4, "bits": 32}, "do not fit 32 bits"),
        ({"metric_limit": 0.0}, "metric_limit must be a number above 0"),
        ({"metric_limit": 1e15}, "do not fit 64 bits"),
    ],
)
def test_settings_hold_together(settings, match):
    with pytest.raises(InvalidInput, match=match):
        co.privacy.SecureSum(**settings)


def test_the_experiments_document_carries_it_and_without_it_is_as_it_was(experiment, secure):
    assert co.read_experiment(secure.to_json()) == secure
    other = replace(experiment, privacy=[co.privacy.SecureSum(bits=32, max_weight=500, norm=1.0)])
    assert co.read_experiment(other.to_json()) == other
    assert len({experiment.digest, secure.digest, other.digest}) == 3
    assert "privacy" not in experiment.to_json()
    assert '"privacy":[{"type":"privacy.SecureSum"}]' in secure.to_json()
