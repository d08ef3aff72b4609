"""The 10,000 digits of MNIST's test half, for galleries of partitions and tutorials."""

from __future__ import annotations

import gzip

import numpy as np

from comity.data.stored import read
from comity.values.rows import Rows
from comity.values.tree import Array


def mnist() -> tuple[Rows, Rows]:
    """(8,000 training digits, 2,000 test digits).

    x (n, 1, 28, 28) float32 in [0, 1]; y (n,) int64, 0 to 9. Every fifth digit is a test digit: the first
    half of the file is known to be easier than the second, so a cut in the middle would not be fair.
    """
    images = _idx("images-idx3").astype(np.float32) / 255  # (n, 28, 28)
    rows = Rows(images[:, np.newaxis], _idx("labels-idx1").astype(np.int64))
    test = np.arange(len(rows)) % 5 == 4
    return rows.take(~test), rows.take(test)


def _idx(kind: str) -> Array:
    data = gzip.decompress(read(f"mnist10k/t10k-{kind}-ubyte.gz"))
    axes = data[3]
    shape = np.frombuffer(data, ">u4", count=axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
