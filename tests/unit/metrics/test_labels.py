"""Metrics of labels against scikit-learn, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from comity import metrics
from comity.values.errors import InvalidInput
from comity.values.metric import Metric
from comity.values.rows import Rows

ROWS = 500


def value(metric: Metric, predictions: object, y: object) -> float:
    predictions = np.asarray(predictions)
    return metric.finish(metric.local(predictions, Rows(np.zeros(len(predictions)), np.asarray(y))))


@pytest.fixture
def binary() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS)
    return 1 / (1 + np.exp(-rng.normal(1.5 * y - 1, 1))), y


@pytest.fixture
def classes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, ROWS)
    scores = np.exp(rng.normal(size=(ROWS, 4)) + 1.5 * (y[:, None] == np.arange(4)))
    return scores / scores.sum(1, keepdims=True), y


def test_binary_against_scikit_learn(binary: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = binary
    assert value(metrics.accuracy, p, y) == pytest.approx(sk.accuracy_score(y, p > 0.5), abs=1e-12)
    assert value(metrics.balanced_accuracy, p, y) == pytest.approx(sk.balanced_accuracy_score(y, p > 0.5), abs=1e-12)
    assert value(metrics.log_loss, p, y) == pytest.approx(sk.log_loss(y, p), abs=1e-12)
    assert value(metrics.brier, p, y) == pytest.approx(sk.brier_score_loss(y, p), abs=1e-12)
    assert value(metrics.auc, p, y) == pytest.approx(sk.roc_auc_score(y, p), abs=2e-4)
    assert value(metrics.average_precision, p, y) == pytest.approx(sk.average_precision_score(y, p), abs=1e-3)


def test_two_columns_are_the_binary_case(binary: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = binary
    for metric in (metrics.auc, metrics.average_precision, metrics.brier, metrics.log_loss, metrics.accuracy):
        assert value(metric, np.stack([1 - p, p], 1), y) == pytest.approx(value(metric, p, y), abs=1e-12)
        assert value(metric, p[:, None], y[:, None]) == value(metric, p, y)


def test_classes_against_scikit_learn(classes: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = classes
    one_hot = np.eye(4)[y]
    assert value(metrics.accuracy, p, y) == pytest.approx(sk.accuracy_score(y, p.argmax(1)), abs=1e-12)
    assert value(metrics.balanced_accuracy, p, y) == pytest.approx(
        sk.balanced_accuracy_score(y, p.argmax(1)), abs=1e-12
    )
    assert value(metrics.log_loss, p, y) == pytest.approx(sk.log_loss(y, p), abs=1e-12)
    assert value(metrics.brier, p, y) == pytest.approx(np.mean(((p - one_hot) ** 2).sum(1)), abs=1e-12)
    assert value(metrics.auc, p, y) == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), abs=2e-4)
    assert value(metrics.average_precision, p, y) == pytest.approx(sk.average_precision_score(one_hot, p), abs=1e-3)


def test_tasks_are_the_mean_of_each_task_where_it_was_measured() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, (ROWS, 3)).astype(float)
    p = np.clip(rng.normal(0.3 + 0.4 * y, 0.3), 0, 1)
    y[rng.random(y.shape) < 0.5] = np.nan
    known = [~np.isnan(y[:, t]) for t in range(3)]
    for metric, reference, error in (
        (metrics.auc, sk.roc_auc_score, 3e-4),
        (metrics.average_precision, sk.average_precision_score, 1e-3),
        (metrics.log_loss, sk.log_loss, 1e-12),
    ):
        expected = np.mean([reference(y[known[t], t], p[known[t], t]) for t in range(3)])
        assert value(metric, p, y) == pytest.approx(expected, abs=error)


def test_a_task_of_one_class_is_left_out_of_rankings() -> None:
    y, p = np.array([[1, 0], [1, 1.0]]), np.array([[0.9, 0.2], [0.8, 0.7]])
    assert value(metrics.auc, p, y) == value(metrics.average_precision, p, y) == 1
    assert value(metrics.balanced_accuracy, p, y) == 1
    for metric in (metrics.auc, metrics.average_precision, metrics.balanced_accuracy):
        assert math.isnan(value(metric, p[:, 0], y[:, 0]))


def test_auc_by_hand_counts_equal_scores_half() -> None:
    # pairs: .9>.5, .9>.1, .5=.5, .5>.1
    assert value(metrics.auc, [0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0]) == 3.5 / 4


@pytest.mark.parametrize("bins", [2, 7, 64, 4096])
def test_auc_and_average_precision_keep_their_stated_error(binary: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    p, y = binary
    metric = metrics.Auc(bins)
    total = metric.local(p, Rows(p, y)).total
    pos, neg = np.asarray(total["positives"])[0], np.asarray(total["negatives"])[0]
    bound = 0.5 * (pos / pos.sum()) @ (neg / neg.sum())
    assert abs(value(metric, p, y) - sk.roc_auc_score(y, p)) <= bound + 1e-12

    above_pos, above_neg = pos[::-1].cumsum()[::-1] - pos, neg[::-1].cumsum()[::-1] - neg
    most = (above_pos + pos) / np.maximum(above_pos + pos + above_neg, 1)
    least = (above_pos + 1) / (above_pos + 1 + above_neg + neg)
    exact = sk.average_precision_score(y, p)
    assert (pos @ least) / pos.sum() - 1e-12 <= exact <= (pos @ most) / pos.sum() + 1e-12
    assert (pos @ least) / pos.sum() <= value(metrics.AveragePrecision(bins), p, y) <= (pos @ most) / pos.sum()


def test_small_scores_of_a_rare_event_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    y = (rng.random(20_000) < 0.01).astype(int)
    p = 1e-4 * np.exp(rng.normal(y, 1))
    assert value(metrics.auc, p, y) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-3)


def test_calibration_error_by_hand() -> None:
    # bins of .5: {.1, .3 | 0, 1} off by .3 on average, {.8, .6 | 1, 1} off by .3
    assert value(metrics.CalibrationError(bins=2), [0.1, 0.3, 0.8, 0.6], [0, 1, 1, 1]) == pytest.approx(0.3)
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.2, 0.6]])
    # two answers, right with .7 and wrong with .6, in one bin: |1 - 1.3| / 2
    assert value(metrics.CalibrationError(bins=2), p, [0, 1]) == pytest.approx(0.15)


def test_log_loss_of_a_sure_mistake_is_finite_as_in_scikit_learn() -> None:
    for dtype in (np.float32, np.float64):
        p, y = np.array([0, 1, 0.5], dtype), np.array([1, 0, 1])
        assert value(metrics.log_loss, p, y) == pytest.approx(sk.log_loss(y, p), rel=1e-6)


def test_a_probability_of_one_half_is_class_0() -> None:
    assert value(metrics.accuracy, [0.5], [0]) == 1


@pytest.mark.parametrize(
    ("predictions", "y", "message"),
    [
        ([0.2, 1.2], [0, 1], "probabilities from 0 to 1"),
        ([0.2, float("nan")], [0, 1], "probabilities from 0 to 1"),
        (["a", "b"], [0, 1], "probabilities from 0 to 1"),
        ([0.2, 0.3], [0, 2], "from 0 to 1, and one is 2"),
        ([0.2, 0.3], [0, 0.5], "one is 0.5"),
        ([0.2, 0.3], [0, float("nan")], "one is nan"),
        ([0.2, 0.3], ["no", "yes"], "number the classes"),
        ([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], [0, 3], "from 0 to 2, and one is 3"),
        ([[0.9, 0.9], [0.1, 0.1]], [0, 1], "add up to 1"),
        ([[0.9, 0.9], [0.1, 0.1]], [[0, 1, 1], [0, 0, 1]], "do not fit"),
        ([[[0.5]]], [0], "do not fit"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(predictions: object, y: object, message: str) -> None:
    for metric in (metrics.auc, metrics.accuracy, metrics.log_loss):
        with pytest.raises(InvalidInput, match=message):
            value(metric, predictions, y)


@pytest.mark.parametrize("kind", [metrics.Auc, metrics.AveragePrecision, metrics.CalibrationError])
def test_less_than_two_whole_bins_are_refused(kind: type[metrics.Auc]) -> None:
    with pytest.raises(InvalidInput, match="at least 2, not 1"):
        kind(bins=1)
    with pytest.raises(InvalidInput, match=r"bins must be a whole number of at least 2, not 2\.5"):
        kind(bins=2.5)  # type: ignore[arg-type]
