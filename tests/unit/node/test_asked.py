"""What an experiment spends of a record and of a site, by what its plan says and the owner's node sees to."""

import json
import math

import pytest

from comity.domain.events import Growth, Masking, SiteData, SiteNoise
from comity.domain.records import Dataset
from comity.domain.words import Permission
from comity.node.policy.asked import experiment_asked, spends
from comity.values.digest import digest

KEY = "0b9ec7a6-5e3b-4b8c-8d8e-0a1b2c3d4e5f"


def growth(noise=None, masked=True, privacy=()):
    masking = Masking(clip="1.0", max_weight=9, metric_limit="8.0", noise=noise) if masked else None
    return Growth(
        experiment=json.dumps({"privacy": list(privacy)}),
        sites={"a": SiteData(dataset=KEY, samples=(KEY,))},
        aggregator="a",
        functions={},
        rounds=1,
        masking=masking,
    )


def noise(epsilon="0.5", **more):
    return SiteNoise(**{"epsilon": epsilon, "delta": "1e-05", "clip": "1.0", "arrays": digest(b""), **more})


RECORD = {"type": "privacy.RecordDP", "epsilon": 2.0, "delta": 1e-5}
SITE = {"type": "privacy.SiteDP", "epsilon": 0.1, "delta": 1e-5, "clip": 1.0}


def test_of_records_it_is_what_the_experiment_says():
    assert spends(growth(privacy=[RECORD]), masked=True) == {"record": (2.0, 1e-5)}


def test_noise_of_sites_is_of_records_too_by_two_steps():
    """From one thing that a site may give to none, and from there to another: ε twice, and δ (1 + e^ε) times."""
    found = spends(growth(noise()), masked=True)
    assert found == {"site": (0.5, 1e-5), "record": (1.0, pytest.approx(1e-5 * (1 + math.exp(0.5))))}


def test_a_delta_of_one_or_more_says_nothing():
    assert spends(growth(noise(epsilon="60.0")), masked=True) == {"site": (60.0, 1e-5)}
    assert spends(growth(noise(epsilon="1e+300")), masked=True).keys() == {"site"}


@pytest.mark.parametrize(
    "made",
    [
        growth(),
        growth(privacy=[SITE]),  # what it says counts nothing where no node adds that noise
        growth(masked=False, privacy=[SITE]),
        growth(noise(epsilon="inf", multiplier="1.0")),
    ],
)
def test_without_an_epsilon_that_is_kept_nothing_is_limited(made):
    assert spends(made, masked=True) == {}


def test_what_leaves_by_another_way_too_is_not_limited_by_noise_in_a_sum():
    assert spends(growth(noise()), masked=False) == {}
    assert spends(growth(noise(), privacy=[RECORD]), masked=False) == {"record": (2.0, 1e-5)}


def test_what_a_rule_may_demand_of_the_noise_is_what_the_plan_says():
    dataset = Dataset(
        key=KEY,
        owner="a",
        name="",
        opener="",
        description="",
        permission=Permission(),
        logs_permission=Permission(),
        created_at=0,
    )

    def asked(made):
        return experiment_asked(made, "b", dataset, name="heart", round=1, shows_metrics=False).colluding

    assert asked(growth(noise(colluding=2))) == 2
    assert asked(growth(noise())) == 0
    assert asked(growth()) is asked(growth(masked=False)) is None
