"""BreastMNIST, and two hospitals drawn from it that differ in how many of their patients are ill."""

from __future__ import annotations

import numpy as np

from comity.data.partition._prevalence import prevalence
from comity.data.stored import read_arrays
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.tree import Array


def breastmnist() -> tuple[Rows, Rows]:
    """(training and validation images together: 624, test images: 156).

    x (n, 1, 28, 28) float32 in [0, 1]; y (n,) int64: 1 = malignant (168 and 42), 0 = normal or benign.
    """
    stored = read_arrays("breastmnist/breastmnist.npz")
    return _rows(stored, "train", "val"), _rows(stored, "test")


def two_hospitals(
    prevalence_a: float = 0.8, prevalence_b: float = 0.2, *, rows: int = 120, seed: int = 0
) -> list[Site]:
    """Hospital A and Hospital B: `rows` training images each, no image in both, with these malignant shares.

    Both have the 156 official test images as their test rows, so that a hospital alone and both together
    are measured on the same patients. A metric over both sees each image twice, which changes no rate, no
    AUC and no mean. Raises InvalidInput when there are not enough images (168 malignant, 456 others).
    """
    train, test = breastmnist()
    drawn = prevalence(train, shares=(prevalence_a, prevalence_b), rows_per_site=rows, seed=seed, test_fraction=0)
    return [Site(name, site.train, test) for name, site in zip(("Hospital A", "Hospital B"), drawn, strict=True)]


def _rows(stored: dict[str, Array], *parts: str) -> Rows:
    images = np.concatenate([stored[f"{part}_images"] for part in parts])  # (n, 28, 28)
    labels = np.concatenate([stored[f"{part}_labels"] for part in parts])
    return Rows(images[:, np.newaxis].astype(np.float32) / 255, (labels == 0).astype(np.int64))
