"""Laws of every partitioner: rows are dealt once, patients are never divided, seeds decide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.data import partition
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site

Partition = Callable[[Rows, int, float], list[Site]]

PARTITIONERS: dict[str, Partition] = {
    "iid": lambda rows, seed, held: partition.iid(rows, sites=4, seed=seed, test_fraction=held),
    "dirichlet": lambda rows, seed, held: partition.dirichlet(
        rows, sites=3, alpha=1.0, min_rows=2, seed=seed, test_fraction=held
    ),
    "pathological": lambda rows, seed, held: partition.pathological(
        rows, sites=4, classes_per_site=1, seed=seed, test_fraction=held
    ),
    "quantity": lambda rows, seed, held: partition.quantity(
        rows, sites=3, sizes="linear", seed=seed, test_fraction=held
    ),
    "prevalence": lambda rows, seed, held: partition.prevalence(
        rows, shares=[0.75, 0.25], rows_per_site=8, seed=seed, test_fraction=held
    ),
    # Without noise and shift x still tells which row it is; what they do is tested by itself.
    "hospitals": lambda rows, seed, held: partition.hospitals(
        rows,
        wanted=[partition.Hospital(rows=12, positive=0.75), partition.Hospital(rows=8, positive=0.25)],
        seed=seed,
        test_fraction=held,
    ),
    "natural": lambda rows, seed, held: partition.natural(rows, by=_patient(rows) % 3, seed=seed, test_fraction=held),
    # Without a shift x still tells which row it is; what a shift does is tested by itself.
    "feature_shift": lambda rows, seed, held: partition.feature_shift(
        rows, sites=4, shift=0.0, scale=0.0, seed=seed, test_fraction=held
    ),
}

TOOLS = {"Hospital", "fingerprint", "plot", "summary", "together"}
LEAVES_ROWS_OVER = {"prevalence", "hospitals"}
BY_SITES = sorted(set(PARTITIONERS) - {"prevalence", "hospitals", "natural"})

every = pytest.mark.parametrize("name", PARTITIONERS)
seeds = st.integers(0, 2**31)
fractions = st.sampled_from([0.0, 0.2, 0.5])


def _patient(rows: Rows) -> np.ndarray:
    return (rows.x[:, 0] % 100).astype(int) if rows.ids is None else np.char.strip(rows.ids, "p").astype(int)


def _rows(seed: int, *, patients: bool) -> Rows:
    """Between 60 and 200 rows that hold their own number, of two classes; and of 40 patients at most."""
    source = np.random.default_rng(seed)
    count = int(source.integers(60, 200))
    owner = np.concatenate([np.arange(40), source.integers(0, 40, count - 40)])
    y = np.where(source.random(count) < 0.1, source.integers(0, 2, count), owner % 2)
    y[:40] = np.arange(40) % 2
    x = np.arange(float(count))[:, None]
    return Rows(x, y, ids=np.array([f"p{each:02}" for each in owner]) if patients else None)


def _halves(sites: list[Site]) -> list[Rows]:
    return [half for site in sites for half in (site.train, site.test) if half is not None]


def test_every_partitioner_is_under_these_laws() -> None:
    assert set(partition.__all__) - TOOLS == set(PARTITIONERS)


@every
@settings(deadline=None, max_examples=25)
@given(data=seeds, seed=seeds, held=fractions, patients=st.booleans())
def test_every_row_is_dealt_once_with_its_own_target(
    name: str, data: int, seed: int, held: float, patients: bool
) -> None:
    rows = _rows(data, patients=patients)
    dealt = _halves(PARTITIONERS[name](rows, seed, held))
    numbers = np.concatenate([half.x[:, 0] for half in dealt]).astype(int)
    assert len(np.unique(numbers)) == len(numbers)
    if name not in LEAVES_ROWS_OVER:
        assert len(numbers) == len(rows)
    np.testing.assert_array_equal(np.concatenate([half.targets for half in dealt]), rows.targets[numbers])


@every
@settings(deadline=None, max_examples=25)
@given(data=seeds, seed=seeds, held=fractions)
def test_a_patient_is_never_divided(name: str, data: int, seed: int, held: float) -> None:
    rows = _rows(data, patients=True)
    dealt = _halves(PARTITIONERS[name](rows, seed, held))
    people = [patient for half in dealt for patient in np.unique(np.asarray(half.ids))]
    assert len(people) == len(set(people))
    assert rows.ids is not None
    for half in dealt:
        assert len(half) == np.isin(rows.ids, half.ids).sum()


@every
@settings(deadline=None, max_examples=10)
@given(data=seeds, seed=seeds, patients=st.booleans())
def test_names_are_in_order_and_rows_keep_theirs(name: str, data: int, seed: int, patients: bool) -> None:
    sites = PARTITIONERS[name](_rows(data, patients=patients), seed, 0.2)
    names = [site.name for site in sites]
    assert names == sorted(set(names))
    for half in _halves(sites):
        assert (np.diff(half.x[:, 0]) > 0).all()


@every
@settings(deadline=None, max_examples=10)
@given(data=seeds, seed=seeds, held=st.sampled_from([0.1, 0.3, 0.5]), patients=st.booleans())
def test_the_test_fraction_is_held_out_at_every_site(
    name: str, data: int, seed: int, held: float, patients: bool
) -> None:
    for site in PARTITIONERS[name](_rows(data, patients=patients), seed, held):
        assert site.test is not None
        train, test = (len(np.unique(half.ids if patients else half.x)) for half in (site.train, site.test))
        assert train >= 1
        assert test == min(max(1, round(held * (train + test))), train + test - 1)


@every
@pytest.mark.parametrize("patients", [False, True])
def test_the_seed_alone_decides(name: str, patients: bool) -> None:
    rows = _rows(5, patients=patients)
    first, again, other = (partition.fingerprint(PARTITIONERS[name](rows, seed, 0.3)) for seed in (1, 1, 2))
    assert first == again != other


@every
def test_no_test_rows_when_none_are_wanted(name: str) -> None:
    assert all(site.test is None for site in PARTITIONERS[name](_rows(0, patients=False), 0, 0.0))


@every
@pytest.mark.parametrize("held", [-0.1, 1.0, float("nan")])
def test_an_impossible_test_fraction_is_refused(name: str, held: float) -> None:
    with pytest.raises(InvalidInput, match="test_fraction must be a number of at least 0 and below 1"):
        PARTITIONERS[name](_rows(0, patients=False), 0, held)


@every
def test_the_given_rows_are_not_touched(name: str) -> None:
    rows = _rows(3, patients=True)
    before = [np.array(each) for each in (rows.x, rows.y, rows.ids)]
    PARTITIONERS[name](rows, 0, 0.2)
    for old, new in zip(before, (rows.x, rows.y, rows.ids), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", BY_SITES)
@pytest.mark.parametrize(("ids", "noun", "most"), [(None, "rows", 6), (np.repeat(["a", "b"], 3), "patients", 2)])
@pytest.mark.parametrize("sites", [0, 7])
def test_more_sites_than_units_are_refused(name: str, ids: np.ndarray | None, noun: str, most: int, sites: int) -> None:
    rows = Rows(np.arange(6.0)[:, None], np.array([0, 1] * 3), ids=ids)
    extra = {"dirichlet": {"alpha": 1.0}, "quantity": {"sizes": "linear"}}.get(name, {})
    with pytest.raises(InvalidInput, match=f"sites must be from 1 to {most}, the number of {noun}, not {sites}"):
        getattr(partition, name)(rows, sites=sites, **extra)
