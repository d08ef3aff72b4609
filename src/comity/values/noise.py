"""Gaussian noise of bytes that somebody hands in: the system's generator, or a keystream in a simulation.

Numbers that a computer adds lie on a grid that depends on their size, so that the last bits of a noised number can
tell what was noised (Mironov, "On Significance of the Least Significant Bits for Differential Privacy", 2012). What
is released is therefore rounded to one grid that is far finer than the noise and far coarser than any rounding before.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2
from typing import TypeAlias

import numpy as np

from comity.values.tree import Array

Random: TypeAlias = Callable[[int], bytes]
"""Gives so many bytes that nobody else can know: `os.urandom`, but in simulations and tests."""

GRID_BITS = 24
"""The grid is so many halvings finer than the noise's standard deviation."""


def uniform(random: Random, count: int) -> Array:
    """Numbers (count,) in [0, 1), each a multiple of 2^-53.

    >>> uniform(bytes, 2)
    array([0., 0.])
    """
    return (np.frombuffer(random(8 * count), "<u8") >> np.uint64(11)) * 2.0**-53


def normal(random: Random, count: int) -> Array:
    """Standard normal numbers (count,): Box and Muller 1958; none is beyond ±8.6, as one in 10^17 would be."""
    pairs = -(-count // 2)
    radius = np.sqrt(-2 * np.log1p(-uniform(random, pairs)))
    angle = 2 * np.pi * uniform(random, pairs)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def noised(exact: Array, deviation: float, random: Random) -> Array:
    """The numbers, in float64, with Gaussian noise of this standard deviation, on the grid; as they are where it is 0.

    >>> noised(np.zeros(2), 1.0, bytes)
    array([0., 0.])
    """
    wide = np.asarray(exact, np.float64)
    if not deviation:
        return wide
    step = 2.0 ** (ceil(log2(deviation)) - GRID_BITS)
    drawn = normal(random, wide.size).reshape(wide.shape)
    return np.rint((wide + deviation * drawn) / step) * step
