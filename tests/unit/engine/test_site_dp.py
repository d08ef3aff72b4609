"""An experiment under SiteDP: clipped contributions, noise at the aggregator, or in parts at the sites."""

from dataclasses import replace
from math import exp, sqrt

import msgspec
import numpy as np
import pytest

import comity as co
from comity.engine import stages
from comity.engine.masked import MaskedSums, Private, masked_sums
from comity.engine.parameters import PARAMETERS, Parameters
from comity.engine.promises import promised, told
from comity.engine.repeatable import repeatable
from comity.privacy import gaussian, vector
from comity.privacy.fixed_point import Scale
from comity.sdk.growth import signatures
from comity.sdk.work import perform
from comity.values import codec, record
from comity.values.contribution import gather
from comity.values.digest import digest
from comity.values.errors import InvalidInput, NotSupported

DP = co.privacy.SiteDP(noise_multiplier=0.5, delta=1e-3, clip=0.1)
SECURE = co.privacy.SecureSum()


def site(name, seed, rows=40):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 3))
    y = (x[:, 0] + 0.5 * generator.normal(size=rows) > 0).astype(float)
    return co.Site(name, train=(x[10:], y[10:]), test=(x[:10], y[:10]))


@pytest.fixture
def four():
    return [site(name, seed, rows=30 + 10 * seed) for seed, name in enumerate("BADC")]


@pytest.fixture
def private(experiment):
    return replace(experiment, privacy=[DP])


def given(weight=4.0, **leaves):
    return co.Contribution({name: np.asarray(leaf, float) for name, leaf in leaves.items()}, weight)


def test_a_contribution_is_one_unit_of_weight_within_the_clip_over_all_its_numbers():
    bounded = DP.bounded(given(a=[12.0, 0.0], b=16.0), 0.5)  # of mean 3, 0 and 4
    assert bounded.weight == 1
    np.testing.assert_allclose(bounded.total["a"], [0.3, 0])
    np.testing.assert_allclose(bounded.total["b"], 0.4)
    small = DP.bounded(given(a=[0.12, 0.0], b=0.16), 0.5)
    np.testing.assert_allclose(small.total["a"], [0.03, 0])
    nothing = DP.bounded(given(weight=0.0, a=[1.0]), 0.5)
    assert (nothing.weight, nothing.total["a"][0]) == (1, 0)


def test_no_site_moves_the_sum_by_more_than_the_clip(private, four):
    strange = replace(four[0], train=(1e6 * four[0].train.x, four[0].train.targets))
    moved = []
    for sites in (four, [strange, *four[1:]]):
        seen = sums(private, sites)
        moved.append(seen.total)
        assert seen.weight == 4
    assert co.tree.norm(co.tree.sub(*moved)) <= 2 * DP.clip


def sums(experiment, sites, clip=DP.clip):
    state, parts = stages.first(experiment, len(sites)), []
    for each in sites:
        work = stages.work(experiment, experiment.model, each.name, round=1, run=experiment.model.fit, random=bytes)
        gave = stages.local(experiment, state, {}, site=each, work=work)
        parts.append(stages.given(experiment, gave, clip=clip)[0])
    return gather(parts)


def test_the_aggregators_noise_has_the_deviation_that_was_asked_for():
    total = given(weight=4, a=np.zeros(50_000))
    seen = DP.released(total, 0.1, rounds=3, random=repeatable(1, "noise"))
    assert seen.total["a"].std() == pytest.approx(0.05, rel=0.02)
    assert seen.weight == 4
    asked = replace(DP, noise_multiplier=None, epsilon=2.0)
    assert asked.multiplier(rounds=9) == 3 * gaussian.deviation(2.0, 1e-3)
    seen = asked.released(total, 0.1, rounds=9, random=repeatable(1, "noise"))
    assert seen.total["a"].std() == pytest.approx(0.1 * asked.multiplier(9), rel=0.02)


def test_a_run_repeats_itself_and_says_what_it_promises(private, four, tmp_path):
    run, again = (co.simulate(private, four) for _ in range(2))
    assert run.digest == again.digest
    assert {each.clip for each in run.history} == {0.1}
    assert run.statements.keys() == set("ABCD")
    statement = run.statements["A"]
    assert (statement.unit, statement.neighbours, statement.sampling, statement.steps) == (
        "site",
        "zero-out",
        "none",
        3,
    )
    assert statement.epsilon == gaussian.epsilon(sqrt(3) / 0.5, 1e-3)
    assert "for each site" in (run.save(tmp_path) / "summary.md").read_text()
    asked = replace(private, privacy=[replace(DP, noise_multiplier=None, epsilon=5.0)])
    assert co.simulate(asked, four).statements["B"].epsilon == pytest.approx(5.0)


def test_without_noise_and_clip_it_is_the_unweighted_mean(experiment, four):
    hardly = replace(experiment, rounds=1, privacy=[co.privacy.SiteDP(noise_multiplier=1e-9, delta=1e-3, clip=1e4)])
    alone = [co.simulate(replace(experiment, rounds=1), [each]).model for each in four]
    mean = {path: sum(model[path] for model in alone) / 4 for path in alone[0]}
    for path, leaf in co.simulate(hardly, four).model.items():
        np.testing.assert_allclose(leaf, mean[path], atol=1e-4)


def test_the_clip_follows_the_quantile_of_the_norms(private, four):
    adaptive = replace(DP, noise_multiplier=1e-6, clip=10.0, quantile=0.5, clip_lr=0.3)
    run = co.simulate(replace(private, privacy=[adaptive], rounds=40, metrics=()), four)
    clips = [each.clip for each in run.history]
    assert clips[1] == pytest.approx(10 * exp(-0.3 * 0.5), rel=1e-4)  # all were within it
    norms = [co.tree.norm(DP.bounded(one, 1e9).total) for one in parts(private, four, run)]
    assert np.quantile(norms, 0.2) < clips[-1] < np.quantile(norms, 0.8)


def parts(private, four, run):
    strategy = co.FedAvg()
    for each in four:
        work = stages.work(
            replace(private, privacy=()), private.model, each.name, round=1, run=private.model.fit, random=bytes
        )
        yield strategy.local(run.state, {}, each.bound(work))[0]


def test_a_tenth_of_the_budget_goes_to_the_clip():
    adaptive = replace(DP, quantile=0.5)
    made = adaptive.bounded(given(a=np.zeros(60_000)), 0.1)
    assert made.total[next(name for name in made.total if name != "a")] == 0.5
    seen = [adaptive.released(made, 0.1, rounds=1, random=repeatable(number, "n")) for number in range(300)]
    update = seen[0].total["a"].std() / 0.1
    bit = np.std([float(each.total["~within"]) for each in seen])
    assert update == pytest.approx(0.5 / sqrt(0.9), rel=0.02)
    assert bit == pytest.approx(0.5 / (2 * sqrt(0.1)), rel=0.15)
    assert 1 / update**2 + (0.5 / (0.5 / (2 * sqrt(0.1)))) ** 2 == pytest.approx(1 / 0.5**2, rel=0.05)


def test_an_adapted_clip_is_resumed(private, four, tmp_path, monkeypatch):
    adaptive = replace(private, privacy=[replace(DP, quantile=0.5)])
    whole = co.simulate(adaptive, four)
    following, steps = stages.following, []

    def dies(*given):
        if len(steps) == 2:
            raise KeyboardInterrupt
        steps.append(given)
        return following(*given)

    monkeypatch.setattr(stages, "following", dies)
    with pytest.raises(KeyboardInterrupt):
        co.simulate(adaptive, four, checkpoint=tmp_path)
    monkeypatch.setattr(stages, "following", following)
    resumed = co.simulate(adaptive, four, checkpoint=tmp_path, resume=True)
    assert resumed.digest == whole.digest
    assert [each.clip for each in resumed.history] == [each.clip for each in whole.history]


# Under SecureSum: every site's noise is a third of the target, since three of four may remain.
NUMBERS = 40_000
SIGMA = 0.05


def four_sums(away=()):
    names = sorted(set("ABCD") - set(away))
    private = Private(dp=DP, sites=4, survivors=SECURE.needed(4), rounds=3)
    scale = Scale(bits=64, sites=4, max_weight=1, clip=1.0)
    return MaskedSums(scale=scale, norm=None, least=3, names=names, away=away, what="round 1", seed=7, private=private)


@pytest.mark.parametrize(("away", "share"), [((), 4 / 3), (("B",), 1.0)], ids=["all four", "one fell out"])
def test_the_noise_of_four_sites_is_the_target_whoever_falls_out(away, share):
    """Variance σ²/3 at each: with three the target exactly, with four as much more as the fourth adds."""
    made = four_sums(away)
    zeros = [DP.bounded(given(a=np.zeros(NUMBERS)), DP.clip) for _ in made.names]
    seen = made.add(zeros)
    error = 5 * sqrt(2 / NUMBERS)
    assert seen.total["a"].var() == pytest.approx(share * SIGMA**2, rel=error)
    assert abs(seen.total["a"].mean()) < 5 * SIGMA * sqrt(share / NUMBERS)
    assert seen.weight == 4 - len(away)


def test_each_site_adds_a_part_of_its_own_that_nobody_else_can_know(monkeypatch):
    drawn, kept = vector.drawn, []

    def noted(*given):
        kept.append(drawn(*given))
        return kept[-1]

    monkeypatch.setattr(vector, "drawn", noted)
    made = four_sums()
    parts = [DP.bounded(given(a=np.full(NUMBERS, at / 1e5)), DP.clip) for at in range(1, 5)]
    seen = made.add(parts)
    scale = made.private.scale(64, dict(zip("ABCD", parts, strict=True)))
    each = np.concatenate(kept).reshape(4, -1) * scale.step
    for one in each:
        assert one.var() == pytest.approx(SIGMA**2 / 3, rel=5 * sqrt(2 / NUMBERS))
    corners = np.corrcoef(each)[np.triu_indices(4, 1)]
    assert np.abs(corners).max() < 5 / sqrt(NUMBERS)
    # and the sum is that of the parts and of the noise, but for the rounding
    exact = gather(parts).total["a"] + each.sum(axis=0)
    np.testing.assert_allclose(seen.total["a"], exact, atol=scale.error(4))


def test_those_that_may_tell_their_noise_are_not_counted():
    one = DP.noise(survivors=3, coordinates=10, rounds=3)
    other = replace(DP, colluding=1).noise(survivors=3, coordinates=10, rounds=3)
    assert one.each**2 * 3 == pytest.approx(other.each**2 * 2)
    with pytest.raises(InvalidInput, match="colluding=3, but only 3 sites may be in a sum"):
        replace(DP, colluding=3).noise(survivors=3, coordinates=10, rounds=3)


def test_a_run_under_secure_sum_adds_no_noise_twice_and_counts_by_renyi(private, four, monkeypatch):
    both = replace(private, privacy=[replace(DP, noise_multiplier=None, epsilon=50.0), SECURE])
    monkeypatch.setattr("comity.privacy.site_dp.noised", None)  # the aggregator's
    run = co.simulate(both, four, dropout=co.Dropout(schedule={2: ["A"]}))
    statement = run.statements["A"]
    assert (statement.accountant, statement.unit) == ("RDP", "site")
    assert 49 < statement.epsilon <= 50
    assert [each.clipped for each in run.history] == [0, 0, 0]
    assert run.history[0].numbers == 4
    assert run.history[1].missing == ("A",)
    assert run.digest == co.simulate(both, four, dropout=co.Dropout(schedule={2: ["A"]})).digest


def test_the_form_of_a_noised_sum_tells_the_noise(private, four):
    both = replace(private, privacy=[DP, SECURE])
    part = {"A": DP.bounded(given(a=np.zeros(5)), 0.1)}
    made = masked_sums(both, "round 1", list("ABCD"))
    scale = made.private.scale(64, part)
    other = replace(made.private, dp=replace(DP, colluding=1)).scale(64, part)
    layout = vector.Layout.of(part["A"])
    assert len({layout.form(each, digest(b"a session")) for each in (scale, other, replace(scale, noise=None))}) == 3


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"strategy": co.strategies.Median()},
            "Median must see every site's contribution by itself, and SiteDP noises",
        ),
        (
            {"strategy": co.strategies.Statistics(), "model": None, "train": None},
            "SiteDP clips updates of a model, and",
        ),
        ({"strategy": co.strategies.SharedTrunk(trunk=("weight",))}, "SharedTrunk sums many times within a round"),
        ({"privacy": [DP, co.privacy.RecordDP(epsilon=1.0, delta=1e-3)]}, "not accounted for together"),
        ({"privacy": [replace(DP, quantile=0.5), SECURE]}, "under SecureSum the clip of SiteDP is not adapted"),
    ],
)
def test_what_does_not_go_with_it_is_refused(experiment, changes, match):
    with pytest.raises(NotSupported, match=match):
        replace(experiment, metrics=(), **{"privacy": [DP], **changes})


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"noise_multiplier": None}, "either epsilon or noise_multiplier, not None and None"),
        ({"epsilon": 1.0}, "either epsilon or noise_multiplier, not 1.0 and 0.5"),
        ({"clip": 0.0}, "clip must be a number above 0"),
        ({"delta": 1.0}, "delta must be a number above 0 and below 1"),
        ({"quantile": 1.0}, "quantile must be above 0 and below 1, not 1.0"),
        ({"clip_lr": 0.0}, "clip_lr must be a number above 0"),
        ({"colluding": -1}, "colluding must be a whole number of at least 0"),
    ],
)
def test_settings_hold_together(settings, match):
    with pytest.raises(InvalidInput, match=match):
        replace(DP, **settings)


def test_whole_numbers_are_refused_for_their_noise_would_be_none():
    with pytest.raises(InvalidInput, match="SiteDP noises floats, but the contribution's 'n' is of int64"):
        DP.bounded(co.Contribution({"n": np.arange(3)}, 1), 1.0)


def test_networks_clip_at_the_site_and_noise_where_the_step_is_made(private, tmp_path):
    def task(stage, number, outputs, **inputs):
        told = Parameters(experiment=private.to_json(), stage=stage, round=number, site="a", sites=("a", "b"))
        (tmp_path / PARAMETERS).write_bytes(msgspec.json.encode(told))
        left = {name: str(tmp_path / f"{stage} {number} {name}") for name in outputs}
        perform({PARAMETERS: str(tmp_path / PARAMETERS), **inputs}, left, {})
        return left

    signatures(private)
    state = task("init", 0, ["state"])["state"]
    rows = site("a", 1).train
    left = task("local", 1, ["contribution", "memory"], datasamples=rows, state=state)
    held = codec.decode((tmp_path / "local 1 contribution").read_bytes())
    assert held["weight"] == 1
    assert co.tree.norm(held["total"]) <= 0.1 * (1 + 1e-9)
    stepped = []
    for number in (1, 2):
        task("step", number, ["state"], state=state, total=left["contribution"])
        stepped.append(codec.decode((tmp_path / f"step {number} state").read_bytes()))
    assert not np.array_equal(*(each["state"]["params"]["weight"] for each in stepped))  # the system's noise
    assert float(stepped[0]["clip"]) == 0.1


SUM = {"weight": np.ones(3), "bias": np.zeros(())}


def test_where_sites_have_noised_the_step_adds_nothing(private, tmp_path, monkeypatch):
    monkeypatch.setattr("comity.privacy.site_dp.noised", None)
    both = replace(private, privacy=[DP, SECURE])
    (tmp_path / "total").write_bytes(codec.encode({"total": SUM, "weight": np.array(4.0)}))
    first = stages.first(both, 4)
    (tmp_path / "state").write_bytes(codec.encode({"state": record.to_tree(first), "clip": np.array(0.1)}))
    told = Parameters(experiment=both.to_json(), stage="step", round=1, site="a", sites=("a", "b"), masked=True)
    (tmp_path / PARAMETERS).write_bytes(msgspec.json.encode(told))
    inputs = {name: str(tmp_path / name) for name in ("state", "total")}
    perform({PARAMETERS: str(tmp_path / PARAMETERS), **inputs}, {"state": str(tmp_path / "next")}, {})
    held = codec.decode((tmp_path / "next").read_bytes())
    assert held["state"]["params"]["weight"].tolist() == (first.params["weight"] + 0.25).tolist()
    assert held["numbers"] == 4


def test_on_a_network_the_statement_counts_those_who_noised_for_sure(private, four):
    both = replace(private, privacy=[replace(DP, noise_multiplier=None, epsilon=20.0), SECURE])
    simulated = co.simulate(both, four).statements["A"]
    assert promised(both, ["A"], survivors=3, numbers=4)["A"] == simulated
    fewer = promised(replace(both, privacy=[DP, SECURE]), ["A"], survivors=3, numbers=4)["A"]
    assert (fewer.accountant, fewer.noise_multiplier) == ("RDP", 0.5)


@pytest.mark.parametrize(("survivors", "numbers"), [(0, 4), (3, 0), (0, 0)])
def test_nothing_is_promised_of_noise_that_is_not_known(private, survivors, numbers):
    """That of sites in a secure sum is Skellam's, rounded: the closed form of the Gaussian is not its ε."""
    both = replace(private, privacy=[DP, SECURE])
    assert promised(both, ["A"], survivors=survivors, numbers=numbers) == {}
    assert promised(private, ["A"])["A"].accountant != "RDP"


def test_the_report_says_that_metrics_have_no_noise(private):
    assert "Metrics have no noise" in told(promised(private, ["A", "B"]))[-1]


def test_the_document_carries_it(private):
    assert co.read_experiment(private.to_json()) == private
