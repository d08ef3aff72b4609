"""Concordance against lifelines, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.utils import concordance_index

from comity import metrics
from comity.metrics._pairs import pairs
from comity.values.contribution import gather
from comity.values.errors import InvalidInput
from comity.values.rows import Rows


def survival(seed: int, n: int, spread: float, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """(log-risks, (time, event)) with exponential times, a third or so censored."""
    rng = np.random.default_rng(seed)
    risk = spread * rng.normal(size=n) + 0.3
    died, left = rng.exponential(np.exp((0.3 - risk) / spread)), rng.exponential(1.5, n)
    return risk, np.stack([unit * np.minimum(died, left), died <= left], 1)


def harrell(risk: np.ndarray, y: np.ndarray) -> float:
    return concordance_index(y[:, 0], -risk, y[:, 1])


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), st.integers(-2, 2), st.integers(1, 3)), min_size=0, max_size=25
    )
)
def test_pairs_are_those_of_the_definition_ties_and_weights_included(
    rows: list[tuple[int, bool, int, int]],
) -> None:
    won = comparable = 0.0
    for time, event, risk, weight in rows:
        for other_time, other_event, other_risk, other_weight in rows:
            if event and (other_time > time or (other_time == time and not other_event)):
                comparable += weight * other_weight
                won += weight * other_weight * ((risk > other_risk) + 0.5 * (risk == other_risk))
    columns = np.array(rows, dtype=float).reshape(-1, 4).T
    assert pairs(columns[0], columns[1] == 1, columns[2], columns[3]).tolist() == [won, comparable]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), n=st.integers(5, 80), digits=st.integers(0, 6))
def test_one_site_is_exactly_lifelines(seed: int, n: int, digits: int) -> None:
    risk, y = survival(seed, n, spread=1, unit=10)
    y[:, 0] = y[:, 0].round(digits)  # few digits make ties
    risk = risk.round(digits)
    part = metrics.concordance.local(risk, Rows(risk, y))
    within = metrics.stratified_concordance.local(risk, Rows(risk, y))
    if math.isnan(metrics.concordance.finish(part)):
        with pytest.raises(ZeroDivisionError):
            harrell(risk, y)
        return
    assert metrics.concordance.finish(part) == pytest.approx(harrell(risk, y), abs=1e-12)
    assert metrics.stratified_concordance.finish(within) == pytest.approx(harrell(risk, y), abs=1e-12)


@pytest.mark.parametrize("spread", [0.1, 0.5, 1, 5])
@pytest.mark.parametrize("unit", [1, 12, 365])
@pytest.mark.parametrize("ties", [False, True])
def test_six_sites_of_250_rows_in_all_are_within_three_thousandths(spread: float, unit: float, ties: bool) -> None:
    for seed in range(5):
        risk, y = survival(seed, 250, spread, unit)
        if ties:
            y[:, 0] = np.ceil(y[:, 0] * 30 / unit)
        site = np.random.default_rng(seed).integers(0, 6, 250)
        parts = [metrics.concordance.local(risk[site == s], Rows(risk[site == s], y[site == s])) for s in range(6)]
        assert metrics.concordance.finish(gather(parts)) == pytest.approx(harrell(risk, y), abs=3e-3)


def test_within_sites_is_the_weighted_mean_of_the_sites() -> None:
    parts = [survival(seed, 40, 1, 10) for seed in (1, 2)]
    sums = [metrics.stratified_concordance.local(risk, Rows(risk, y)) for risk, y in parts]
    comparable = [np.asarray(each.total["pairs"])[1] for each in sums]
    expected = np.average([harrell(risk, y) for risk, y in parts], weights=comparable)
    assert metrics.stratified_concordance.finish(gather(sums)) == pytest.approx(expected, abs=1e-12)


def test_no_event_has_no_concordance() -> None:
    y = np.array([[1.0, 0], [2.0, 0]])
    assert math.isnan(metrics.concordance.finish(metrics.concordance.local(np.zeros(2), Rows(y, y))))


@pytest.mark.parametrize(
    ("risk", "y", "message"),
    [
        (np.zeros(2), [1.0, 2.0], "targets \\(n, 2\\)"),
        (np.zeros((2, 2)), [[1, 1], [2, 0]], "risks \\(n,\\)"),
        (np.array([0, np.nan]), [[1, 1], [2, 0]], "within"),
        (np.zeros(2), [[1, 1], [np.inf, 0]], "finite times"),
        (np.zeros(2), [[1, 2], [2, 0]], "1 for an event"),
        (np.zeros(2), [[-1, 1], [2, 0]], "at least 0"),
        (np.zeros(2), [[20_000, 1], [2, 0]], "a larger unit"),
    ],
)
def test_what_cannot_be_ranked_is_refused(risk: np.ndarray, y: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        metrics.concordance.local(risk, Rows(np.zeros(2), np.array(y, dtype=float)))
