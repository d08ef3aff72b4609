"""LiRA on numbers drawn from the normal distributions that it supposes finds what the closed form says."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm

from comity.privacy.attacks import logits, memberships, separation
from comity.values.errors import InvalidInput

ROWS = 4000


def drawn(models, shift, *, seed, spread=1.0):
    """Values (models, ROWS) of N(m, spread²), m a row's own, and m + shift for members; and who is one."""
    generator = np.random.default_rng(seed)
    own = 5 * np.random.default_rng(99).normal(size=ROWS)
    members = generator.random((models, ROWS)) < 0.5
    return own + shift * members + spread * generator.normal(size=members.shape), members


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("shadows", [40, 300], ids=["one variance", "a variance for each row"])
def test_normal_values_are_told_apart_as_well_as_can_be(shift, shadows):
    values, inside = drawn(shadows, shift, seed=1)
    targets, members = drawn(8, shift, seed=2)
    scores = memberships(targets, values, inside, ~inside)
    made = separation(scores[members], scores[~members])
    # Two normal distributions of variance 1, so far apart: Neyman and Pearson's test, which knows both.
    assert made.auc == pytest.approx(norm.cdf(shift / sqrt(2)), abs=0.03)
    assert made.caught == pytest.approx(norm.cdf(norm.ppf(0.01) + shift), abs=0.025)
    assert made.caught <= made.caught_most


def test_a_rows_own_level_is_no_sign_of_membership():
    """By their values alone members and others could not be told apart: rows differ five times as much as either."""
    values, inside = drawn(100, 1.0, seed=3)
    targets, members = drawn(8, 1.0, seed=4)
    naive = separation(targets[members], targets[~members])
    scores = memberships(targets, values, inside, ~inside)
    assert naive.auc < 0.57 < 0.74 < separation(scores[members], scores[~members]).auc


def test_the_score_is_the_log_of_the_ratio_of_both_densities():
    shadows = np.array([[1.0], [3.0], [-2.0], [2.0]])
    inside = np.array([[True], [True], [False], [False]])
    # In: mean 2; out: mean 0; sample variances 2 and 8, by hand.
    expected = norm.logpdf(1.0, 2, sqrt(2)) - norm.logpdf(1.0, 0, sqrt(8))
    assert memberships(np.array([[1.0]]), shadows, inside, ~inside).item() == pytest.approx(expected)


def test_models_that_count_on_neither_side_are_left_out():
    values, inside = drawn(50, 1.0, seed=5)
    outside = ~inside
    outside[:10] = False
    values[:10][~inside[:10]] = 1e6
    targets, _ = drawn(3, 1.0, seed=6)
    assert np.abs(memberships(targets, values, inside, outside)).max() < 100


def test_too_few_shadow_models_are_refused():
    with pytest.raises(InvalidInput, match=r"in, or out of, 1 shadow models.*train more"):
        memberships(np.zeros((1, 1)), np.zeros((3, 1)), np.array([[True], [False], [False]]), np.ones((3, 1), bool))


def test_shapes_that_do_not_fit_are_refused():
    values, inside = np.zeros((4, 3)), np.array([[True] * 3, [True] * 3, [False] * 3, [False] * 3])
    with pytest.raises(InvalidInput, match=r"targets has shape \(1, 2\).*shadows of shape \(4, 3\)"):
        memberships(np.zeros((1, 2)), values, inside, ~inside)
    with pytest.raises(InvalidInput, match="outside has shape"):
        memberships(np.zeros((1, 3)), values, inside, inside[:2])


def test_certainty_is_on_a_logit_scale_for_either_label_and_finite():
    assert logits(np.array([0.8, 0.8]), np.array([1, 0])) == pytest.approx([np.log(4), -np.log(4)])
    assert np.isfinite(logits(np.array([0.0, 1.0]), np.array([1, 1]))).all()
