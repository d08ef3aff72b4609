"""Sites fall out by schedule or chance; a round says who was in, and one with too few ends the run."""

from dataclasses import replace

import numpy as np
import pytest

import comity as co
from comity.values.errors import InvalidInput, RoundFailed


@pytest.fixture
def four(sites):
    both = sites[0].train
    return [co.Site(name, (both.x[i : i + 9], both.targets[i : i + 9])) for i, name in enumerate("ABCD")]


@pytest.fixture
def bare(experiment):
    return replace(experiment, metrics=())


def test_the_schedule_is_kept_and_recorded(bare, four):
    run = co.simulate(bare, four, dropout=co.Dropout(schedule={2: ["C", "A"]}))
    assert [each.included for each in run.history] == [tuple("ABCD"), ("B", "D"), tuple("ABCD")]
    assert [each.missing for each in run.history] == [(), ("A", "C"), ()]
    assert [each.attempts for each in run.history] == [1, 1, 1]
    assert run.rounds().column("missing") == [None, "A, C", None]


def test_a_round_without_a_site_is_a_round_of_the_others(bare, four):
    once = replace(bare, rounds=1)
    dropped = co.simulate(once, four, dropout=co.Dropout(schedule={1: ["B"]}))
    others = co.simulate(once, [site for site in four if site.name != "B"])
    assert dropped.digest == others.digest


def test_chance_follows_from_the_seed(bare, four):
    many = replace(bare, rounds=20)
    first, second = (co.simulate(many, four, dropout=co.Dropout(probability=0.4)) for _ in range(2))
    other = co.simulate(replace(many, seed=1), four, dropout=co.Dropout(probability=0.4))
    assert [each.included for each in first.history] == [each.included for each in second.history]
    assert [each.included for each in first.history] != [each.included for each in other.history]
    assert first.digest == second.digest


def test_chance_is_of_the_probability_given():
    dropout = co.Dropout(probability=0.3)
    away = np.mean([dropout.away(str(name), round=1, attempt=1, seed=0) for name in range(4000)])
    assert away == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 4000) ** 0.5)


def test_a_round_is_begun_again_when_too_few_are_there(bare, four):
    strict = replace(bare, quorum=4, rounds=30)
    with pytest.raises(RoundFailed) as caught:
        co.simulate(strict, four, dropout=co.Dropout(probability=0.5))
    assert "but the quorum is 4, in each of 3 attempts; lower the quorum or the dropout" in str(caught.value)
    run = co.simulate(replace(strict, quorum=2), four, dropout=co.Dropout(probability=0.4))
    assert max(each.attempts for each in run.history) > 1
    assert min(len(each.included) for each in run.history) == 2


def test_a_share_counts_of_those_selected(bare, four):
    away = co.Dropout(schedule={1: ["A", "B"]})
    assert len(co.simulate(replace(bare, quorum=0.5), four, dropout=away).history) == 3
    with pytest.raises(RoundFailed, match="round 1: 2 of 4 sites were there but the quorum is 3"):
        co.simulate(replace(bare, quorum=0.51), four, dropout=away)


def test_the_memory_of_a_site_that_fell_out_stays_as_it_was(bare, four):
    scaffold = replace(bare, strategy=co.Scaffold(), rounds=2)
    before = co.simulate(replace(scaffold, rounds=1), four)
    after = co.simulate(scaffold, four, dropout=co.Dropout(schedule={2: ["B"]}))
    same = {site.name: _equal(before.memory(site.name), after.memory(site.name)) for site in four}
    assert same == {"A": False, "B": True, "C": False, "D": False}
    assert after.memory("B")


def test_a_site_that_never_came_remembers_nothing(bare, four):
    scaffold = replace(bare, strategy=co.Scaffold())
    run = co.simulate(scaffold, four, dropout=co.Dropout(schedule={number: ["D"] for number in (1, 2, 3)}))
    assert run.memory("D") == {}
    assert run.memory("A")


def _equal(first, second):
    return all(np.array_equal(first[name], second[name]) for name in ("weight", "bias"))


def test_baselines_lose_nobody(bare, four):
    run = co.simulate(bare, four, dropout=co.Dropout(schedule={1: ["A"]}), baselines=["local"])
    assert all(not each.missing for each in run.baselines["A"].history)


def test_a_misspelt_site_is_refused_before_anything_runs(bare, four):
    with pytest.raises(InvalidInput, match="there is no site 'AA'; did you mean 'A'"):
        co.simulate(bare, four, dropout=co.Dropout(schedule={2: ["AA"]}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"probability": 1.0},
        {"probability": -0.1},
        {"probability": float("nan")},
        {"schedule": {0: ["A"]}},
        {"schedule": {1: "VA"}},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(InvalidInput):
        co.Dropout(**wrong)
