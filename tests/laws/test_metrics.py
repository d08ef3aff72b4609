"""Laws of every metric. A new metric is one row in CASES."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity import metrics
from comity.values import tree
from comity.values.codec import decode, encode
from comity.values.contribution import Contribution, gather
from comity.values.errors import InvalidInput
from comity.values.metric import Metric
from comity.values.rows import Rows

Made = tuple[Any, Any]
"""(predictions, targets)."""


def binary(rng: np.random.Generator, n: int) -> Made:
    y = rng.integers(0, 2, n)
    return np.clip(rng.normal(0.3 + 0.4 * y, 0.25), 0, 1).round(2), y


def classes(rng: np.random.Generator, n: int) -> Made:
    y = rng.integers(0, 4, n)
    scores = np.exp(rng.normal(size=(n, 4)) + 2 * (y[:, None] == np.arange(4)))
    return (scores / scores.sum(1, keepdims=True)).astype(np.float32), y


def tasks(rng: np.random.Generator, n: int) -> Made:
    y = rng.integers(0, 2, (n, 3)).astype(float)
    scores = np.clip(rng.normal(0.3 + 0.4 * y, 0.3), 0, 1)
    y[rng.random((n, 3)) < 0.4] = np.nan
    return scores, y


def numbers(rng: np.random.Generator, n: int) -> Made:
    y = rng.normal(50, 10, n)
    return y + rng.normal(0, 5, n), y


def outputs(rng: np.random.Generator, n: int) -> Made:
    predictions, y = zip(*(numbers(rng, n) for _ in range(3)), strict=True)
    partial = np.where(rng.random((n, 3)) < 0.4, np.nan, np.stack(y, 1))
    return np.stack(predictions, 1), partial


def survival(rng: np.random.Generator, n: int) -> Made:
    risk = rng.normal(size=n)
    died, censored = rng.exponential(np.exp(-risk)) * 300, rng.exponential(400, n)
    return risk, np.stack([np.minimum(died, censored).round(), died <= censored], 1)


def right_probability(y: Any) -> Any:
    return y.astype(float)


def right_classes(y: Any) -> Any:
    return np.eye(4)[y]


def right_tasks(y: Any) -> Any:
    return np.nan_to_num(y, nan=0.5)


def right_numbers(y: Any) -> Any:
    return np.nan_to_num(y, nan=7.0)


def right_risk(y: Any) -> Any:
    return (0.5 * y[:, 1] - y[:, 0]) / 100  # of two at one time, the one who died was at the higher risk


@dataclass(frozen=True)
class Case:
    metric: Metric
    make: Callable[[np.random.Generator, int], Made]
    right: Callable[[Any], Any]
    """Perfect predictions for the targets."""
    best: float
    tolerance: float = 1e-12
    """Between the sum of the sites and the pooled rows, and around the best value."""


EVERY_LABEL = [(binary, right_probability), (classes, right_classes), (tasks, right_tasks)]
EVERY_NUMBER = [(numbers, right_numbers), (outputs, right_numbers)]
CASES = [
    *(Case(metrics.accuracy, make, right, 1) for make, right in EVERY_LABEL),
    *(Case(metrics.balanced_accuracy, make, right, 1) for make, right in EVERY_LABEL),
    *(Case(metrics.auc, make, right, 1) for make, right in EVERY_LABEL),
    *(Case(metrics.average_precision, make, right, 1) for make, right in EVERY_LABEL),
    *(Case(metrics.log_loss, make, right, 0) for make, right in EVERY_LABEL),
    *(Case(metrics.brier, make, right, 0) for make, right in EVERY_LABEL),
    *(Case(metrics.calibration_error, make, right, 0) for make, right in EVERY_LABEL),
    *(Case(metrics.mean_squared_error, make, right, 0) for make, right in EVERY_NUMBER),
    *(Case(metrics.mean_absolute_error, make, right, 0) for make, right in EVERY_NUMBER),
    *(Case(metrics.r2, make, right, 1) for make, right in EVERY_NUMBER),
    Case(metrics.concordance, survival, right_risk, 1, tolerance=3e-3),
]
# not the metric of the pooled rows, and called so
BY_SITE = [
    Case(metrics.stratified_concordance, survival, right_risk, 1),
    Case(metrics.Mean(lambda y, p: float(np.mean((p > 0.5) == y))), binary, right_probability, 1),
]


def _called(case: Case) -> str:
    return f"{type(case.metric).__name__}-{case.make.__name__}"


every = pytest.mark.parametrize("case", CASES + BY_SITE, ids=_called)
summed = pytest.mark.parametrize("case", CASES, ids=_called)


def _shapes(part: Contribution) -> dict[str, tuple[object, ...]]:
    return {path: (leaf.shape, leaf.dtype) for path, leaf in tree.flatten(part.total).items()}


def _whole(metric: Metric, made: Made) -> float:
    return metric.finish(_local(metric, made))


def _local(metric: Metric, made: Made, chosen: Any = slice(None)) -> Contribution:
    predictions, y = made
    return metric.local(predictions[chosen], Rows(np.zeros(len(predictions[chosen])), y[chosen]))


@summed
def test_the_sum_over_sites_is_the_metric_of_the_pooled_rows(case: Case) -> None:
    made = case.make(np.random.default_rng(1), 250)
    site = np.random.default_rng(2).integers(0, 6, 250)
    total = gather(_local(case.metric, made, site == each) for each in range(6))
    assert case.metric.finish(total) == pytest.approx(_whole(case.metric, made), abs=case.tolerance, rel=1e-12)
    assert total.weight == 250


@summed
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 60), sites=st.integers(1, 5))
def test_any_split_into_sites_gives_the_pooled_value(case: Case, seed: int, rows: int, sites: int) -> None:
    rng = np.random.default_rng(seed)
    made, site = case.make(rng, rows), rng.integers(0, sites, rows)
    split = case.metric.finish(gather(_local(case.metric, made, site == each) for each in range(sites)))
    # a concordance of few rows has few pairs, and one pair that falls into one time bin moves it
    loose = 0.15 if case.tolerance > 1e-9 else 1e-9
    assert split == pytest.approx(_whole(case.metric, made), abs=loose, nan_ok=True)


@every
def test_the_order_of_rows_and_of_sites_does_not_matter(case: Case) -> None:
    predictions, y = case.make(np.random.default_rng(3), 120)
    order = np.random.default_rng(4).permutation(120)
    shuffled = _whole(case.metric, (predictions[order], y[order]))
    assert shuffled == pytest.approx(_whole(case.metric, (predictions, y)), rel=1e-12, abs=1e-12)
    parts = [_local(case.metric, (predictions, y), slice(i, i + 40)) for i in (0, 40, 80)]
    assert case.metric.finish(gather(parts[::-1])) == pytest.approx(case.metric.finish(gather(parts)), rel=1e-12)


@every
def test_a_contribution_is_finite_and_as_large_for_one_row_as_for_many(case: Case) -> None:
    made = case.make(np.random.default_rng(5), 90)
    many, one = _local(case.metric, made), _local(case.metric, made, slice(0, 1))
    assert _shapes(many) == _shapes(one)
    assert tree.nbytes(many.total) <= 2**21 + 16
    decoded = decode(encode(many.total))
    assert case.metric.finish(replace(many, total=decoded)) == case.metric.finish(many)


@pytest.mark.parametrize("case", [*CASES, BY_SITE[0]], ids=_called)
def test_a_site_without_rows_adds_nothing(case: Case) -> None:
    made = case.make(np.random.default_rng(11), 90)
    many, none = _local(case.metric, made), _local(case.metric, made, slice(0, 0))
    assert _shapes(none) == _shapes(many)
    assert math.isnan(case.metric.finish(none))
    assert case.metric.finish(gather((many, none))) == pytest.approx(case.metric.finish(many), rel=1e-12)


@every
def test_perfect_predictions_reach_the_best_value_and_no_others_are_better(case: Case) -> None:
    predictions, y = case.make(np.random.default_rng(6), 200)
    best, got = _whole(case.metric, (case.right(y), y)), _whole(case.metric, (predictions, y))
    assert best == pytest.approx(case.best, abs=1e-9)
    assert got < best if case.metric.goal == "max" else got > best


@every
def test_one_class_or_one_row_gives_a_number_or_nan_but_never_fails(case: Case) -> None:
    predictions, y = case.make(np.random.default_rng(7), 40)
    for chosen in (slice(0, 1), np.repeat(0, 5)):
        value = _whole(case.metric, (predictions[chosen], y[chosen]))
        assert math.isnan(value) or math.isfinite(value)


@every
def test_nothing_given_is_changed(case: Case) -> None:
    predictions, y = case.make(np.random.default_rng(8), 30)
    predictions.flags.writeable = y.flags.writeable = False
    part = _local(case.metric, (predictions, y))
    before = encode(part.total)
    case.metric.finish(part)
    assert encode(part.total) == before


@every
def test_a_metric_is_a_frozen_value(case: Case) -> None:
    assert replace(case.metric) == case.metric  # type: ignore[type-var]
    assert hash(replace(case.metric)) == hash(case.metric)  # type: ignore[type-var]
    with pytest.raises(FrozenInstanceError):
        case.metric.goal = "min"  # type: ignore[misc]


@every
def test_rows_without_targets_are_refused(case: Case) -> None:
    predictions, _ = case.make(np.random.default_rng(9), 5)
    with pytest.raises(InvalidInput, match="no targets"):
        case.metric.local(predictions, Rows(np.zeros(5)))


@summed
def test_targets_of_another_length_are_refused(case: Case) -> None:
    predictions, y = case.make(np.random.default_rng(10), 9)
    with pytest.raises(InvalidInput):
        case.metric.local(predictions[:8], Rows(np.zeros(9), y))


def test_the_names_are_what_a_user_writes() -> None:
    for name in metrics.__all__:
        ready = getattr(metrics, name)
        if isinstance(ready, Metric):
            assert ready.name == name
