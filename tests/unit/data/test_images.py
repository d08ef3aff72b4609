"""BreastMNIST, the two hospitals drawn from it, and MNIST."""

from __future__ import annotations

import numpy as np
import pytest

from comity import data
from comity.data.stored import read_arrays
from comity.values.errors import InvalidInput
from comity.values.rows import Rows


def images(rows: Rows) -> set[bytes]:
    return {image.tobytes() for image in rows.x}


def test_breastmnist_has_the_images_and_classes_that_medmnist_publishes() -> None:
    train, test = data.breastmnist()
    assert (len(train), int(train.targets.sum())) == (546 + 78, 147 + 21)
    assert (len(test), int(test.targets.sum())) == (156, 42)
    assert train.x.shape == (624, 1, 28, 28)
    assert (train.x.dtype, train.targets.dtype) == (np.float32, np.int64)
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert train.x[:546].mean() == pytest.approx(0.3276, abs=1e-4)
    stored = read_arrays("breastmnist/breastmnist.npz")
    np.testing.assert_array_equal(train.targets[546:] == 1, stored["val_labels"] == 0)


def test_two_hospitals_have_their_prevalence_and_share_no_image() -> None:
    (a, b), (train, test) = data.two_hospitals(), data.breastmnist()
    assert [site.name for site in (a, b)] == ["Hospital A", "Hospital B"]
    assert [int(site.train.targets.sum()) for site in (a, b)] == [96, 24]
    assert [len(site.train) for site in (a, b)] == [120, 120]
    for site in (a, b):
        assert site.test is not None
        np.testing.assert_array_equal(site.test.x, test.x)
        assert images(site.train) <= images(train)
    assert not images(a.train) & images(b.train)
    again, other = data.two_hospitals()[0], data.two_hospitals(seed=1)[0]
    assert images(again.train) == images(a.train) != images(other.train)


def test_two_hospitals_refuse_more_patients_than_there_are() -> None:
    with pytest.raises(InvalidInput, match="need 240 rows of class 1, but there are 168"):
        data.two_hospitals(1.0, 1.0)


def test_mnist_has_every_digit_in_both_halves() -> None:
    train, test = data.mnist()
    assert (train.x.shape, test.x.shape) == ((8000, 1, 28, 28), (2000, 1, 28, 28))
    assert (train.x.dtype, train.targets.dtype) == (np.float32, np.int64)
    # The class counts of MNIST's test set.
    counts = np.bincount(train.targets) + np.bincount(test.targets)
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(test.targets).min() > 150
    # The file begins with 7, 2, 1, 0, 4, 1; its fifth digit is the first test digit.
    assert train.targets[:5].tolist() == [7, 2, 1, 0, 1]
    assert test.targets[0] == 4
