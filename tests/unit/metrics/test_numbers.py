"""Metrics of numeric targets against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from comity import metrics
from comity.values.contribution import gather
from comity.values.errors import InvalidInput
from comity.values.metric import Metric
from comity.values.rows import Rows


def value(metric: Metric, predictions: object, y: object) -> float:
    predictions = np.asarray(predictions)
    return metric.finish(metric.local(predictions, Rows(np.zeros(len(predictions)), np.asarray(y))))


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 3)])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (metrics.mean_squared_error, sk.mean_squared_error),
        (metrics.mean_absolute_error, sk.mean_absolute_error),
        (metrics.r2, sk.r2_score),
    ],
)
def test_against_scikit_learn(metric: Metric, reference: object, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(120, 15, shape)
    p = y + rng.normal(0, 8, shape)
    assert value(metric, p, y) == pytest.approx(reference(y, p), rel=1e-10)  # type: ignore[operator]


def test_what_was_not_measured_does_not_count() -> None:
    y, p = np.array([[1.0, np.nan], [3.0, 5.0]]), np.array([[2.0, 99.0], [3.0, 7.0]])
    assert value(metrics.mean_squared_error, p, y) == pytest.approx((0.5 + 4) / 2)
    assert value(metrics.mean_absolute_error, p, y) == pytest.approx((0.5 + 2) / 2)


def test_r2_of_targets_that_do_not_vary_is_not_defined() -> None:
    assert math.isnan(value(metrics.r2, [0.3, 0.3, 0.2], [0.1, 0.1, 0.1]))


def test_r2_uses_the_mean_of_all_sites() -> None:
    parts = [metrics.r2.local(np.array([m, m]), Rows(np.zeros(2), np.array([m - 1, m + 1]))) for m in (0.0, 10.0)]
    # Σ error² = 4; around the common mean 5: 36 + 16 + 16 + 36
    assert metrics.r2.finish(gather(parts)) == pytest.approx(1 - 4 / 104)


@pytest.mark.parametrize(
    ("predictions", "y", "message"),
    [
        ([1.0, float("inf")], [1.0, 2.0], "finite numbers"),
        ([1.0], ["a"], "numbers as targets"),
        ([[1.0, 2.0]], [1.0], "do not fit"),
    ],
)
def test_what_cannot_be_measured_is_refused(predictions: object, y: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        value(metrics.r2, predictions, y)
