"""The lab attacks what a simulation sends and nothing else: the same weights at its end, and masks that are on."""

from dataclasses import replace

import numpy as np
import pytest

import comity as co
from comity.faces.demos.privacy import members
from comity.faces.demos.privacy.leaving import seen
from comity.faces.demos.privacy.settings import as_features, deal, four, on_purpose, typical, warned_of
from comity.values import tree
from comity.values.codec import digest
from comity.values.contribution import gather

SETTINGS = {setting.name: setting for setting in four()}


@pytest.fixture(scope="module")
def dealt():
    return deal(*as_features(), seed=3)


def experiment(name):
    with on_purpose():
        return replace(members.experiment(SETTINGS[name]), rounds=2, evaluate_every=2, seed=3)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_ends_with_the_weights_of_a_simulation(name, dealt):
    *_, last = seen(experiment(name), dealt.sites)
    assert digest(last.after) == co.simulate(experiment(name), dealt.sites).digest


def test_each_round_begins_where_the_last_ended_and_sums_the_parts(dealt):
    first, second = seen(experiment("nothing"), dealt.sites)
    assert digest(second.before) == digest(first.after)
    assert digest(gather(first.parts.values()).total) == digest(first.total.total)
    assert list(first.parts) == [site.name for site in dealt.sites]


def test_under_a_secure_sum_parts_wear_masks_and_the_sum_does_not(dealt):
    (clear, _), (masked, _) = (seen(experiment(name), dealt.sites) for name in ("nothing", "secure sum"))
    for path, leaf in tree.flatten(masked.total.total).items():
        np.testing.assert_allclose(leaf, tree.flatten(clear.total.total)[path], atol=1e-7)
    shown = np.array([tree.flatten(part.total)["weight"] for part in masked.parts.values()])
    # As numbers of the ring they are uniform, so their signs are a coin's and their sizes have nothing of an update's.
    assert abs((shown > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(shown.size)
    assert np.median(np.abs(shown)) == pytest.approx(np.abs(shown).max() / 2, rel=0.15)
    assert np.abs(shown).min() > 100 * max(np.abs(leaf).max() for leaf in tree.flatten(clear.total.total).values())


def test_every_image_is_in_one_hospital_or_in_none(dealt):
    train, _ = as_features()
    assert np.bincount(dealt.owner + 1).tolist() == [312, 78, 78, 78, 78]
    for hospital, site in enumerate(dealt.sites):
        held = {row.tobytes() for row in site.train.x}
        assert held == {row.tobytes() for row in train.x[dealt.owner == hospital]}


def test_features_are_means_of_four_pixels_of_the_typical_image_apart():
    images, _ = co.data.breastmnist()
    mean, deviation = typical(co.data.breastmnist()[1])
    block = ((images.x[5, 0] - mean.reshape(28, 28)) / deviation)[2:4, 6:8]
    assert as_features()[0].x[5].reshape(14, 14)[1, 3] == pytest.approx(block.mean())


def test_comity_warns_of_either_protection_alone():
    heard = {name: warned_of(lambda setting=setting: members.experiment(setting)) for name, setting in SETTINGS.items()}
    assert {name: len(said) for name, said in heard.items()} == {"nothing": 0, "secure sum": 1, "DP": 1, "both": 0}
