"""The hospitals of the lab, and the four ways in which what leaves them is protected."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final
from warnings import catch_warnings, simplefilter

import numpy as np

from comity.data import breastmnist
from comity.privacy import PrivacyWarning, RecordDP, SecureSum
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.transform import Transform
from comity.values.tree import Array

HOSPITALS = ("Hospital A", "Hospital B", "Hospital C", "Hospital D")

IMAGES = 78
"""At each hospital; half of the training images are in none."""

SIDE = 14
"""Of the images that membership is inferred of, in pixels."""

EPSILON, DELTA = 3.0, 1e-3
"""δ is below one over a hospital's images."""


@final
@dataclass(frozen=True)
class Setting:
    """What contributions go through before anybody else sees them."""

    name: str
    epsilon: float | None = None
    """Of each image, over all rounds; None without differential privacy."""
    secure: bool = False
    """Whether nobody sees a hospital's contribution, but their sum."""

    def privacy(self, clip: float) -> tuple[Transform, ...]:
        """As an experiment takes it; clip is the largest norm of an image's gradient."""
        dp = () if self.epsilon is None else (RecordDP(epsilon=self.epsilon, delta=DELTA, clip=clip),)
        return (*dp, *((SecureSum(),) if self.secure else ()))


def four(epsilon: float = EPSILON) -> tuple[Setting, ...]:
    """Neither, one, the other, both."""
    return (
        Setting("nothing"),
        Setting("secure sum", secure=True),
        Setting("DP", epsilon),
        Setting("both", epsilon, secure=True),
    )


@final
@dataclass(frozen=True, kw_only=True)
class Deal:
    """Images dealt to hospitals."""

    sites: tuple[Site, ...]
    owner: Array
    """Of each training image the hospital's number, or -1 (n,)."""


def deal(train: Rows, test: Rows, seed: int) -> Deal:
    """Every training image is in one hospital or, as likely, in none; all measure on the same test images."""
    order = np.random.default_rng(seed).permutation(len(train))[: IMAGES * len(HOSPITALS)].reshape(len(HOSPITALS), -1)
    owner = np.full(len(train), -1)
    for hospital, images in enumerate(order):
        owner[images] = hospital
    sites = [Site(name, train.take(images), test) for name, images in zip(HOSPITALS, order, strict=True)]
    return Deal(sites=tuple(sites), owner=owner)


def as_features() -> tuple[Rows, Rows]:
    """(training and validation images, test images), x (n, 196): 14×14 means of four pixels.

    Less what the mean test image has there, in standard deviations of a pixel.
    """
    train, test = breastmnist()
    mean, deviation = typical(test)
    return _features(train, mean, deviation), _features(test, mean, deviation)


def typical(images: Rows) -> tuple[Array, float]:
    """What is public of such images: their mean (784,), and the standard deviation of a pixel from it."""
    pixels = images.x.reshape(len(images), -1).astype(np.float64)
    mean = pixels.mean(axis=0)
    return mean, float((pixels - mean).std())


def _features(rows: Rows, mean: Array, deviation: float) -> Rows:
    pixels = (rows.x.reshape(len(rows), -1) - mean) / deviation
    return Rows(pixels.reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4)).reshape(len(rows), -1), rows.y)


@contextmanager
def on_purpose() -> Generator[None]:
    """Within it nobody is warned that one protection is on without the other: the lab shows what that means."""
    with catch_warnings():
        simplefilter("ignore", PrivacyWarning)
        yield


def warned_of(make: Callable[[], object]) -> list[str]:
    """What is said of the privacy of an experiment when it is made."""
    with catch_warnings(record=True) as heard:
        simplefilter("always")
        make()
    return [str(each.message) for each in heard if issubclass(each.category, PrivacyWarning)]
