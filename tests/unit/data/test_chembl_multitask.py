"""ChEMBL: assays and rows of the recipe, and each measurement at one partner."""

from __future__ import annotations

import numpy as np
import pytest

from comity import data
from comity.data.stored import read_arrays
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.tree import Array


@pytest.fixture(scope="module")
def partners() -> list[Site]:
    return data.chembl()


@pytest.fixture(scope="module")
def private() -> list[Site]:
    return data.chembl_private_targets()


def held_out(sites: list[Site]) -> list[Rows]:
    return [site.test for site in sites if site.test is not None]


def targets(halves: list[Rows]) -> Array:
    return np.concatenate([half.targets for half in halves])


def counts(y: Array) -> Array:
    """(2, assays): active and inactive compounds."""
    return np.stack([np.nansum(y == 1, axis=0), np.nansum(y == 0, axis=0)])


def test_137_assays_have_enough_of_both_classes(partners: list[Site]) -> None:
    train, test = targets([site.train for site in partners]), targets(held_out(partners))
    assert train.shape == (17_183, 137)
    assert test.shape == (4_294, 137)
    assert train.dtype == np.float32
    assert counts(train).min() >= 40
    assert counts(test).min() >= 10
    assert not np.isnan(train).all(axis=1).any()


def test_a_fifth_of_the_compounds_is_held_out(partners: list[Site]) -> None:
    assert [len(site.train) for site in partners] == pytest.approx([17_183 / 8] * 8, abs=1)
    assert [len(half) for half in held_out(partners)] == pytest.approx([4_294 / 8] * 8, abs=1)
    assert round(4_294 / 21_477, 2) == 0.2


def test_no_measurement_is_lost_or_doubled(partners: list[Site], private: list[Site]) -> None:
    stored = read_arrays("chembl_multitask/chembl_ecfp4_1024.npz")
    of_assay: dict[int, list[int]] = {}
    for assay, value in zip(stored["col"].tolist(), stored["pact"].tolist(), strict=True):
        of_assay.setdefault(assay, []).append(value >= 650)
    for sites in (partners, private):
        everything = counts(targets([*(site.train for site in sites), *held_out(sites)])).T.tolist()
        # Assays keep their order, so counts must be a subsequence of the counts of all 691.
        every = iter([[sum(of_assay[a]), len(of_assay[a]) - sum(of_assay[a])] for a in sorted(of_assay)])
        assert all(pair in every for pair in everything)
    np.testing.assert_array_equal(counts(targets(held_out(partners))), counts(targets(held_out(private))))


def test_fingerprints_are_the_stored_bits(partners: list[Site]) -> None:
    stored = read_arrays("chembl_multitask/chembl_ecfp4_1024.npz")
    packed = {row.tobytes() for row in stored["fp"]}
    site = partners[3]
    assert site.train.x.shape[1] == 1024
    assert site.train.x.dtype == np.float32
    assert {np.packbits(row.astype(np.uint8)).tobytes() for row in site.train.x} <= packed


def test_the_seed_deals_partners_but_not_the_held_out_compounds(partners: list[Site]) -> None:
    other = data.chembl(seed=1)
    assert not np.array_equal(other[0].train.x, partners[0].train.x)
    np.testing.assert_array_equal(counts(targets(held_out(other))), counts(targets(held_out(partners))))


def test_each_target_belongs_to_one_partner(private: list[Site]) -> None:
    owned = np.stack([~np.isnan(site.train.targets).all(axis=0) for site in private])
    assert (owned.sum(axis=0) == 1).all()
    assert sorted(owned.sum(axis=1)) == [17] * 7 + [18]
    for site, own in zip(private, owned, strict=True):
        assert site.test is not None
        np.testing.assert_array_equal(~np.isnan(site.test.targets).all(axis=0), own)
        assert not np.isnan(site.train.targets).all(axis=1).any()


def test_partners_are_named_and_counted() -> None:
    assert [site.name for site in data.chembl(2)] == ["partner-01", "partner-02"]
    with pytest.raises(InvalidInput, match="partners must be from 1 to 137"):
        data.chembl_private_targets(138)
