"""A plain function as a metric."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from comity.metrics import Mean
from comity.values.contribution import gather
from comity.values.errors import InvalidInput
from comity.values.rows import Rows


def prevalence(y: np.ndarray, predictions: np.ndarray) -> float:
    return float(y.mean()) if len(y) > 1 else math.nan


def rows(*y: int) -> Rows:
    return Rows(np.zeros(len(y)), np.array(y))


def test_every_site_counts_the_same_whatever_its_size() -> None:
    parts = [Mean(prevalence).local(np.zeros(len(each)), each) for each in (rows(1, 1), rows(0, 0, 0, 0, 0, 0))]
    assert Mean(prevalence).finish(gather(parts)) == 0.5


def test_a_site_where_it_is_not_defined_is_left_out() -> None:
    metric = Mean(prevalence)
    parts = [metric.local(np.zeros(len(each)), each) for each in (rows(1, 0), rows(0))]
    assert metric.finish(gather(parts)) == 0.5
    assert math.isnan(metric.finish(parts[1]))


def test_it_is_called_what_it_is() -> None:
    assert Mean(f1_score).name == "f1_score"
    assert not Mean(f1_score).pools


def test_a_function_of_scikit_learn_can_be_wrapped() -> None:
    metric = Mean(lambda y, p: f1_score(y, p > 0.5))
    assert metric.finish(metric.local(np.array([0.9, 0.1, 0.9]), rows(1, 0, 0))) == pytest.approx(2 / 3)


def test_what_the_function_raises_is_seen() -> None:
    def broken(y: np.ndarray, predictions: np.ndarray) -> float:
        raise ValueError("shapes differ")

    with pytest.raises(ValueError, match="shapes differ"):
        Mean(broken).local(np.zeros(1), rows(1))


@pytest.mark.parametrize("made", [math.inf, np.zeros(2), "0.5", None])
def test_what_is_no_number_is_refused(made: object) -> None:
    with pytest.raises(InvalidInput, match="one finite number"):
        Mean(lambda y, p: made).local(np.zeros(1), rows(1))  # type: ignore[arg-type,return-value]


def test_a_goal_is_max_or_min() -> None:
    assert Mean(prevalence, goal="min").goal == "min"
    with pytest.raises(InvalidInput, match="'max' or 'min', not 'least'"):
        Mean(prevalence, goal="least")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"function must be a function f\(y, predictions\), not 3"):
        Mean(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
