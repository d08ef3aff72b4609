"""Hospitals as they are wanted, and the biopsies of Wisconsin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity import data
from comity.data.partition import Hospital, fingerprint, hospitals, together
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site


def numbered(count: int = 400) -> Rows:
    """Rows of two columns of standard deviation 1 and 10, half of them positive."""
    source = np.random.default_rng(0)
    x = source.normal(size=(count, 2)) * [1.0, 10.0]
    return Rows((x - x.mean(axis=0)) / x.std(axis=0) * [1.0, 10.0], np.arange(count) % 2)


def test_two_of_them_are_the_two_hospitals_of_the_demo() -> None:
    train, _ = data.breastmnist()
    wanted = [Hospital(rows=120, positive=0.8), Hospital(rows=120, positive=0.2)]
    mine = hospitals(train, wanted=wanted, seed=3, test_fraction=0)
    theirs = [replace(site, test=None) for site in data.two_hospitals(seed=3)]
    assert fingerprint(mine) == fingerprint(theirs)


wishes = st.lists(st.builds(Hospital, rows=st.integers(1, 40), positive=st.floats(0, 1)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(wanted=wishes, seed=st.integers(0, 2**31))
def test_each_has_the_size_and_the_share_it_was_given(wanted: list[Hospital], seed: int) -> None:
    needed = sum(round(each.rows * each.positive) for each in wanted)
    if needed > 200 or sum(each.rows for each in wanted) - needed > 200:
        with pytest.raises(InvalidInput, match="but there are 200; lower their rows"):
            hospitals(numbered(), wanted=wanted, seed=seed, test_fraction=0)
        return
    for site, each in zip(hospitals(numbered(), wanted=wanted, seed=seed, test_fraction=0), wanted, strict=True):
        assert len(site.train) == each.rows
        assert site.train.targets.sum() == round(each.rows * each.positive)


def test_noise_and_shift_are_in_standard_deviations_of_a_column() -> None:
    plain = Hospital(rows=200, positive=0.5)
    deal = [replace(plain, shift=2.0), replace(plain, noise=0.5)]
    a, b = hospitals(numbered(), wanted=deal, test_fraction=0)
    as_they_were = hospitals(numbered(), wanted=[plain, plain], test_fraction=0)
    moved = a.train.x - as_they_were[0].train.x
    np.testing.assert_allclose(np.abs(moved), np.tile([2.0, 20.0], (200, 1)))  # by the same for every row
    noise = b.train.x - as_they_were[1].train.x
    np.testing.assert_allclose(noise.std(axis=0), [0.5, 5.0], rtol=0.15)
    np.testing.assert_allclose(noise.mean(axis=0), [0.0, 0.0], atol=1.2)


def test_images_become_brighter_as_a_whole() -> None:
    train, _ = data.breastmnist()
    (a,) = hospitals(train, wanted=[Hospital(rows=10, positive=0.5, shift=1.0)], test_fraction=0)
    (before,) = hospitals(train, wanted=[Hospital(rows=10, positive=0.5)], test_fraction=0)
    assert a.train.x.dtype == np.float32
    np.testing.assert_allclose(a.train.x - before.train.x, train.x.std(), rtol=1e-5)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"rows": 0, "positive": 0.5}, "rows must be a whole number of at least 1, not 0"),
        ({"rows": 9, "positive": 1.5}, "positive must be a share from 0 to 1, not 1.5"),
        ({"rows": 9, "positive": 0.5, "noise": -1.0}, "noise must be a number of at least 0, not -1.0"),
        ({"rows": 9, "positive": 0.5, "shift": float("nan")}, "shift must be a number of at least 0, not nan"),
    ],
)
def test_what_cannot_be_is_refused(wish: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Hospital(**wish)  # pyright: ignore[reportArgumentType]


def test_no_hospitals_and_too_many_are_refused() -> None:
    for count in (0, 27):
        with pytest.raises(InvalidInput, match=f"give 1 to 26 of them, not {count}"):
            hospitals(numbered(), wanted=[Hospital(rows=2, positive=0.5)] * count)


def test_together_is_the_opposite_of_a_partition() -> None:
    sites = data.heart("pooled")
    train, test = together(sites)
    assert (len(train), len(test)) == (486, 254)
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-12)
    with pytest.raises(InvalidInput, match="no site has test rows"):
        together([Site("A", numbered())])


def test_the_biopsies_are_those_that_uci_publishes() -> None:
    train, test = data.breast_cancer("none")
    x, y = np.concatenate([train.x, test.x]), np.concatenate([train.targets, test.targets])
    assert (len(y), int(y.sum())) == (569, 212)
    # The summary that UCI gives of the file: least and most of the mean radius and the worst area.
    assert (x[:, 0].min(), x[:, 0].max()) == (6.981, 28.11)
    assert train.columns[23] == "area_worst"
    assert (x[:, 23].min(), x[:, 23].max()) == (185.2, 4254.0)
    standardized, _ = data.breast_cancer()
    np.testing.assert_allclose(standardized.x.std(axis=0, ddof=1), 1)
    with pytest.raises(InvalidInput, match="did you mean 'train'"):
        data.breast_cancer("trian")  # pyright: ignore[reportArgumentType]
