"""Figures of success against hand calculations, scikit-learn and the tables of Clopper and Pearson."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve

from comity.privacy.attacks import best_psnr, clopper_pearson, psnr, separation
from comity.values.errors import InvalidInput


def test_psnr_is_ten_times_the_log_of_one_over_the_mean_square():
    assert psnr(np.zeros(8), np.full(8, 0.01)) == pytest.approx(40)
    assert psnr(np.zeros(8), np.zeros(8)) == np.inf


def test_each_picture_is_compared_with_the_one_most_like_it():
    truth, found = np.eye(3), np.array([[0.0, 0.9, 0.0], [1.0, 0.0, 0.0]])
    best, which = best_psnr(truth, found)
    assert which.tolist()[:2] == [1, 0]
    assert best[0] == np.inf
    assert best[1] == pytest.approx(10 * np.log10(3 / 0.01))


def test_the_area_is_scikit_learns_with_ties():
    generator = np.random.default_rng(0)
    members, others = generator.integers(0, 20, 300) + 3.0, generator.integers(0, 20, 200) * 1.0
    labels, scores = np.repeat([1, 0], [300, 200]), np.concatenate([members, others])
    made = separation(members, others)
    assert made.auc == pytest.approx(roc_auc_score(labels, scores))
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(made.curve, (false[1:], true[1:]))
    assert (made.members, made.others) == (300, 200)


def test_a_hundred_others_leave_one_above_the_threshold():
    others = np.arange(100.0)
    made = separation(np.array([97.5, 98.5, 99.5, 50.0]), others)
    assert made.caught == 0.5  # those above 98, the second highest of the others


def test_no_more_than_the_share_of_false_alarms_is_above_a_tied_threshold():
    made = separation(np.array([5.0, 6.0]), np.full(1000, 5.0))
    assert made.caught == 0.5


@pytest.mark.parametrize(("successes", "trials"), [(0, 30), (1, 30), (15, 30), (30, 30), (12, 2496)])
def test_the_interval_is_scipys_exact_one(successes, trials):
    exact = binomtest(successes, trials).proportion_ci(method="exact")
    assert clopper_pearson(successes, trials) == pytest.approx((exact.low, exact.high))


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidInput, match="4 of 3"):
        clopper_pearson(4, 3)
    with pytest.raises(InvalidInput, match="0 members"):
        separation(np.array([]), np.array([1.0]))
    with pytest.raises(InvalidInput, match="scores hold NaN"):
        separation(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(InvalidInput, match="nothing was found"):
        best_psnr(np.zeros((2, 3)), np.zeros((0, 3)))
