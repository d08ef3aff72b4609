"""Each partitioner on a case small enough to check by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comity.data import partition
from comity.data.partition.classes import classes
from comity.data.partition.units import names, units
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site


def rows(labels: list[int], ids: list[str] | None = None) -> Rows:
    return Rows(np.arange(float(len(labels)))[:, None], np.array(labels), ids=None if ids is None else np.array(ids))


def sizes(sites: list[Site]) -> list[int]:
    return [len(site.train) for site in sites]


def shares(sites: list[Site], classes: int) -> np.ndarray:
    return np.stack([np.bincount(site.train.targets, minlength=classes) / len(site.train) for site in sites])


def test_a_patients_class_is_the_most_frequent_one_and_the_smaller_of_two() -> None:
    given = rows([1, 0, 0, 1, 1, 1, 0], ["a", "a", "a", "b", "b", "c", "c"])
    known, class_of = units(given).classes()
    assert known == ["0", "1"]
    assert class_of.tolist() == [0, 1, 0]


def test_names_sort_like_their_numbers() -> None:
    assert names(100)[::33] == ["site-001", "site-034", "site-067", "site-100"]


def test_whole_floats_and_texts_are_classes_but_measurements_are_not() -> None:
    assert classes(np.array([[1.0], [0.0]]))[0] == ["0", "1"]
    assert classes(np.array(["ill", "well"]))[1].tolist() == [0, 1]
    with pytest.raises(InvalidInput, match="bin them first"):
        classes(np.array([0.5, 1.0]))
    with pytest.raises(InvalidInput, match=r"shape \(2, 2\)"):
        classes(np.zeros((2, 2)))


def test_iid_sizes_differ_by_one_at_most() -> None:
    assert sorted(sizes(partition.iid(rows([0] * 11), sites=3, test_fraction=0))) == [3, 4, 4]


def test_rows_may_be_given_as_x_and_y() -> None:
    given = rows([0, 1] * 20)
    for deal in (
        lambda it: partition.iid(it, sites=2),
        lambda it: partition.natural(it, by=np.arange(40) % 2),
        lambda it: partition.feature_shift(it, sites=2),
    ):
        assert partition.fingerprint(deal(given)) == partition.fingerprint(deal((given.x, given.y)))
    with pytest.raises(InvalidInput, match=r"sites must be a whole number of at least 0, not 2\.0"):
        partition.iid(given, sites=2.0)  # pyright: ignore


def test_iid_deals_patients_not_rows() -> None:
    given = rows([0] * 8, ["a"] * 5 + ["b", "c", "d"])
    assert sorted(sizes(partition.iid(given, sites=2, test_fraction=0))) == [2, 6]


def test_dirichlet_nears_iid_as_alpha_grows() -> None:
    given = rows([0] * 600 + [1] * 300 + [2] * 300)
    sites = partition.dirichlet(given, sites=4, alpha=1e6, test_fraction=0)
    np.testing.assert_allclose(shares(sites, 3), np.tile([0.5, 0.25, 0.25], (4, 1)), atol=0.01)


def test_dirichlet_gives_one_class_each_as_alpha_vanishes() -> None:
    given = rows([0, 1, 2, 3] * 250)
    sites = partition.dirichlet(given, sites=2, alpha=1e-3, min_rows=1, test_fraction=0)
    per_class = np.stack([np.bincount(site.train.targets, minlength=4) for site in sites]) / 250
    assert per_class.max(axis=0).min() > 0.95


def test_dirichlet_shares_have_the_variance_of_the_distribution() -> None:
    # A site's share of a class is Beta(a, (k-1)a): mean 1/k, variance (k-1) / (k^2 (ka + 1)).
    alpha, k = 0.5, 3
    given = rows([0] * 1000)
    found = [
        len(site.train) / 1000
        for seed in range(400)
        for site in partition.dirichlet(given, sites=k, alpha=alpha, min_rows=1, seed=seed, test_fraction=0)
    ]
    assert np.mean(found) == pytest.approx(1 / k)
    assert np.var(found) == pytest.approx((k - 1) / (k**2 * (k * alpha + 1)), rel=0.1)


def test_dirichlet_keeps_min_rows() -> None:
    for seed in range(20):
        sites = partition.dirichlet(rows([0, 1] * 50), sites=5, alpha=0.5, min_rows=8, seed=seed, test_fraction=0)
        assert min(sizes(sites)) >= 8


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_dirichlet_refuses_an_alpha_that_is_not_positive(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="alpha must be a number above 0"):
        partition.dirichlet(rows([0, 1] * 50), sites=2, alpha=alpha)


def test_dirichlet_refuses_what_cannot_be() -> None:
    with pytest.raises(InvalidInput, match="3 sites of at least 40 rows need 120, but there are 100"):
        partition.dirichlet(rows([0, 1] * 50), sites=3, alpha=1.0, min_rows=40)
    with pytest.raises(InvalidInput, match=r"in 1000 draws with alpha=0\.001"):
        partition.dirichlet(rows([0, 1] * 50), sites=10, alpha=1e-3, min_rows=10)


def test_pathological_gives_every_site_exactly_its_classes() -> None:
    sites = partition.pathological(rows(list(range(10)) * 20), sites=10, classes_per_site=2, test_fraction=0)
    assert [len(np.unique(site.train.targets)) for site in sites] == [2] * 10
    held = np.stack([np.bincount(site.train.targets, minlength=10) for site in sites])
    assert ((held > 0).sum(axis=0) == 2).all()
    assert set(held[held > 0]) == {10}


def test_pathological_by_hand() -> None:
    sites = partition.pathological(rows([0, 0, 1, 1]), sites=4, classes_per_site=1, test_fraction=0)
    assert sorted(site.train.targets.tolist() for site in sites) == [[0], [0], [1], [1]]


@pytest.mark.parametrize(
    ("labels", "sites", "each", "message"),
    [
        ([0, 1, 2] * 3, 2, 4, "classes_per_site must be from 1 to 3"),
        ([0, 1, 2] * 3, 2, 1, "2 sites with 1 classes each leave some of 3 classes to nobody"),
        ([0] * 9 + [1], 4, 1, "class 1 has 1 rows for 2 sites"),
    ],
)
def test_pathological_refuses_what_cannot_be(labels: list[int], sites: int, each: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        partition.pathological(rows(labels), sites=sites, classes_per_site=each)


@pytest.mark.parametrize(
    ("sizes_asked", "count", "expected"),
    [
        ("linear", 60, [10, 20, 30]),
        ("exponential", 70, [10, 20, 40]),
        ([5, 15, 50], 70, [5, 15, 50]),
        ([1, 1, 2], 8, [2, 2, 4]),
    ],
)
def test_quantity_gives_the_sizes_asked_for(sizes_asked: object, count: int, expected: list[int]) -> None:
    sites = partition.quantity(rows([0] * count), sites=3, sizes=sizes_asked, test_fraction=0)  # pyright: ignore
    assert sizes(sites) == expected


def test_quantity_lognormal_has_a_logarithm_of_standard_deviation_one() -> None:
    found = sizes(partition.quantity(rows([0] * 200_000), sites=400, sizes="lognormal", test_fraction=0))
    assert np.std(np.log(found)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("liner", "did you mean 'linear'"),
        ([1, 2], "sizes must be 3 numbers above 0"),
        ([1, 2, 0], "sizes must be 3 numbers above 0"),
        (3, "sizes must be a list of finite numbers, not 3"),
        ([1, 1, 1000], "site-01 would get 0 of the 9 rows"),
    ],
)
def test_quantity_refuses_what_cannot_be(wrong: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        partition.quantity(rows([0] * 9), sites=3, sizes=wrong)  # pyright: ignore


def test_prevalence_by_hand() -> None:
    sites = partition.prevalence(rows([0] * 7 + [1] * 6), shares=[0.75, 0.5, 0], rows_per_site=4, test_fraction=0)
    assert [site.train.targets.tolist() for site in sites] == [[0, 1, 1, 1], [0, 0, 1, 1], [0] * 4]


def test_prevalence_counts_patients() -> None:
    given = rows([1, 1, 1, 0, 0, 1], ["a", "a", "b", "c", "d", "d"])  # patients: 1, 1, 0, 0
    (site,) = partition.prevalence(given, shares=[0.5], rows_per_site=4, test_fraction=0)
    assert len(site.train) == 6


@pytest.mark.parametrize(
    ("labels", "asked", "each", "message"),
    [
        ([0] * 6 + [1] * 6, [0.8, 0.8], 5, "need 8 rows of class 1, but there are 6"),
        ([0] * 6 + [1] * 6, [0.0, 0.2], 5, "need 9 rows of class 0, but there are 6"),
        ([0, 1, 2], [0.5], 2, "exactly two classes, but there are 3"),
        ([0, 1], [1.5], 2, "shares must be numbers from 0 to 1"),
        ([0, 1], [], 2, "shares must be a list"),
        ([0, 1], 0.5, 2, "shares must be a list of finite numbers, not 0.5"),
        ([0, 1], [0.5], 0, "rows_per_site must be a whole number of at least 1"),
    ],
)
def test_prevalence_refuses_what_cannot_be(labels: list[int], asked: Any, each: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        partition.prevalence(rows(labels), shares=asked, rows_per_site=each)


def test_natural_by_hand() -> None:
    by = np.array(["Lyon", "Paris", "Lyon", "Basel"])
    sites = partition.natural(rows([0, 1, 2, 3]), by=by, test_fraction=0)
    assert [(site.name, site.train.targets.tolist()) for site in sites] == [
        ("Basel", [3]),
        ("Lyon", [0, 2]),
        ("Paris", [1]),
    ]


@pytest.mark.parametrize(
    ("by", "ids", "message"),
    [
        (["A", "B", "A"], ["p", "p", "q"], "1 patients have rows at more than one site"),
        ([1.0, np.nan, 2.0], None, "by is missing for some rows"),
        (["A", "B"], None, r"each of 3 rows, but its shape is \(2,\)"),
    ],
)
def test_natural_refuses_what_cannot_be(by: list[object], ids: list[str] | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        partition.natural(rows([0, 1, 0], ids), by=np.array(by), test_fraction=0)


def test_a_site_too_small_to_test_on_is_refused() -> None:
    with pytest.raises(InvalidInput, match="site-01 would get 1 of the 2 rows, too few to train and test on"):
        partition.iid(rows([0, 1]), sites=2, test_fraction=0.2)


def test_feature_shift_is_one_affine_map_for_each_site_and_column() -> None:
    source = np.random.default_rng(0)
    x = source.normal([5.0, -3.0], [2.0, 0.5], size=(400, 2))
    given = Rows(x, source.integers(0, 2, 400))
    plain = partition.iid(given, sites=2, seed=7)
    moved = partition.feature_shift(given, sites=2, shift=0.5, scale=0.1, seed=7)
    maps = []
    for before, after in zip(plain, moved, strict=True):
        assert before.test is not None
        assert after.test is not None
        for column in range(2):
            factor, offset = np.polyfit(before.train.x[:, column], after.train.x[:, column], 1)
            np.testing.assert_allclose(before.train.x[:, column] * factor + offset, after.train.x[:, column])
            np.testing.assert_allclose(before.test.x[:, column] * factor + offset, after.test.x[:, column])
            maps.append(factor)
        np.testing.assert_array_equal(before.train.targets, after.train.targets)
    assert len(set(maps)) == 4


def test_feature_shift_has_the_spread_asked_for() -> None:
    x = np.random.default_rng(0).normal(10, 3, size=(4000, 1))
    moved = partition.feature_shift(Rows(x), sites=1000, shift=2.0, scale=0.0, test_fraction=0)
    plain = partition.iid(Rows(x), sites=1000, test_fraction=0)
    offsets = [(after.train.x - before.train.x)[0, 0] for before, after in zip(plain, moved, strict=True)]
    assert np.std(offsets) == pytest.approx(2 * 3, rel=0.1)
    noisy = partition.feature_shift(Rows(x), sites=1, shift=0, scale=0, noise=0.5, test_fraction=0)[0].train.x
    assert np.std(noisy - x) == pytest.approx(0.5 * 3, rel=0.05)


def test_feature_shift_of_images_is_contrast_and_brightness_and_keeps_the_dtype() -> None:
    x = np.random.default_rng(0).random((10, 1, 4, 4)).astype(np.float32)
    plain = partition.iid(Rows(x), sites=2, test_fraction=0)
    moved = partition.feature_shift(Rows(x), sites=2, test_fraction=0)
    for before, after in zip(plain, moved, strict=True):
        assert after.train.x.dtype == np.float32
        factor, offset = np.polyfit(before.train.x.ravel(), after.train.x.ravel(), 1)
        np.testing.assert_allclose(before.train.x * factor + offset, after.train.x, atol=1e-5)


def test_feature_shift_keeps_missing_values_missing_and_the_others_numbers() -> None:
    x = np.random.default_rng(0).normal(10, 3, size=(200, 3))
    x[::4, 0] = x[:, 2] = np.nan
    for before, after in zip(
        partition.iid(Rows(x), sites=2), partition.feature_shift(Rows(x), sites=2, noise=0.1), strict=True
    ):
        np.testing.assert_array_equal(np.isnan(after.train.x), np.isnan(before.train.x))
        assert not np.allclose(after.train.x[:, 1], before.train.x[:, 1])


def test_feature_shift_refuses_texts_and_negative_strengths() -> None:
    with pytest.raises(InvalidInput, match="needs numbers in x"):
        partition.feature_shift(Rows(np.array([["a"], ["b"]])), sites=1)
    with pytest.raises(InvalidInput, match="at least 0"):
        partition.feature_shift(rows([0, 1]), sites=1, noise=-1)
