"""Rows come back from a layer's gradients to the last bits; gradients here are by hand, or by torch's autograd."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from comity.privacy.attacks import imprint, rows_of, single_bins, with_prior
from comity.values.errors import InvalidInput

ROWS = np.random.default_rng(0).uniform(size=(12, 30))


def gradients(network, loss, x, y):
    network = network.double()
    loss(network(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    return network[0].weight.grad.numpy(), network[0].bias.grad.numpy()


def nearest(rows, truth):
    """How far each true row is from the nearest found, in its worst number."""
    return np.abs(rows[:, np.newaxis] - truth).max(axis=2).min(axis=0)


@pytest.mark.parametrize("classes", [2, 5])
def test_one_row_comes_back_from_every_unit_of_a_linear_layer(classes):
    weight, bias = gradients(nn.Sequential(nn.Linear(30, classes)), cross_entropy, ROWS[:1], np.array([1]))
    found = rows_of(weight, bias)
    assert found.shape == (classes, 30)
    np.testing.assert_allclose(found, np.repeat(ROWS[:1], classes, axis=0), atol=1e-6)


def test_one_row_comes_back_through_layers_that_follow():
    torch.manual_seed(0)
    deep = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))
    found = rows_of(*gradients(deep, cross_entropy, ROWS[:1], np.array([2])))
    assert 1 <= len(found) < 16  # a unit that the row does not activate shows nothing
    np.testing.assert_allclose(found, np.repeat(ROWS[:1], len(found), axis=0), atol=1e-6)


def test_of_a_batch_a_unit_shows_the_row_that_alone_activates_it_and_else_a_mean():
    #            unit 0: row 0 alone   unit 1: both rows, errors 1 and 3   unit 2: none
    weight = np.stack([2 * ROWS[0], ROWS[0] + 3 * ROWS[1], np.zeros(30)])
    found = rows_of(weight, np.array([2.0, 4.0, 0.0]))
    np.testing.assert_allclose(found, [ROWS[0], ROWS[0] / 4 + 3 * ROWS[1] / 4], atol=1e-12)


def test_no_factor_matters_so_an_update_is_as_good_as_a_gradient():
    np.testing.assert_allclose(rows_of(-0.3 * ROWS[:1], np.array([-0.3])), ROWS[:1], atol=1e-12)


def test_units_with_rising_thresholds_show_every_row_of_a_batch():
    """Robbing the Fed: twelve rows of twelve mean values, a threshold below each."""
    means = np.sort(ROWS.mean(axis=1))
    weight, bias = imprint(30, means - np.diff(means, prepend=means[0] - 0.01) / 2)
    signs = np.array([1.0, -1.0] * 6)
    network = nn.Sequential(nn.Linear(30, 12), nn.ReLU(), nn.Linear(12, 1), nn.Flatten(0))
    with torch.no_grad():
        for place, values in ((network[0].weight, weight), (network[0].bias, bias), (network[2].weight, signs[None])):
            place.copy_(torch.from_numpy(values))
    labels = np.arange(12) % 2.0
    bins = single_bins(*gradients(network, binary_cross_entropy_with_logits, ROWS, labels), signs)
    assert nearest(rows_of(*bins), ROWS).max() < 1e-6


def test_without_noise_a_prior_changes_nothing():
    errors = np.ones(12)
    assert with_prior(ROWS, errors, noise=0.0, mean=np.zeros(30), deviation=0.1) is ROWS


def test_under_noise_a_prior_is_the_least_squares_estimate():
    """Errors 1, deviation .2, noise .1: a row counts .04 ÷ (.04 + .01), the mean the rest; tried on drawn numbers."""
    generator = np.random.default_rng(1)
    truth = 0.5 + 0.2 * generator.normal(size=(50, 400))
    noised = truth + 0.1 * generator.normal(size=truth.shape)

    def error(estimate):
        return np.square(estimate - truth).mean()

    best = with_prior(noised, np.ones(50), noise=0.1, mean=np.full(400, 0.5), deviation=0.2)
    np.testing.assert_allclose(best, 0.5 + 0.8 * (noised - 0.5))
    assert error(best) == pytest.approx(0.04 * 0.01 / 0.05, rel=0.05)
    assert error(best) < min(error(noised), error(0.5 + 0.9 * (noised - 0.5)), error(0.5 + 0.7 * (noised - 0.5)))


def test_a_clip_says_that_larger_errors_are_noise():
    """A bias's gradient of 5 where one row's is 1 at most: the row is what is least far from numbers 1 · x + noise."""
    rows = np.full((1, 30), 0.3)
    made = with_prior(rows, np.array([5.0]), noise=0.5, most=1.0, mean=np.full(30, 0.5), deviation=0.2)
    # Numbers 5 · .3 of which 1 · .5 was expected; gain 1 · .04 ÷ (.04 + .25), by hand.
    np.testing.assert_allclose(made, 0.5 + 0.04 / 0.29 * (1.5 - 0.5))


def test_of_masked_numbers_nothing_is_left_but_the_mean():
    made = with_prior(ROWS, np.ones(12), noise=np.inf, mean=np.full(30, 0.5), deviation=0.2)
    np.testing.assert_array_equal(made, np.full((12, 30), 0.5))


@pytest.mark.parametrize(("weight", "bias"), [((3,), (3,)), ((3, 4), (4,)), ((3, 4), (3, 1))])
def test_what_is_no_layer_is_refused(weight, bias):
    with pytest.raises(InvalidInput, match="have shapes"):
        rows_of(np.ones(weight), np.ones(bias))
