"""Floats of 16 bits with the range of 32: bfloat16, the upper half of a float32, which numpy has no dtype for.

Here a number of that precision is a float32 whose lower half is zero (Kalamkar et al., "A Study of BFLOAT16 for Deep
Learning Training", 2019); in a file it is its upper half.
"""

from __future__ import annotations

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.tree import Array

PIECE = 1 << 16
"""Numbers that are rounded at a time, so that they stay in the cache."""


def rounded(floats: Array) -> Array:
    """The nearest numbers of 8 significant bits, of two that are as near the even one, as float32.

    Raises InvalidInput where one is not finite, or too large for a float32.

    >>> rounded(np.array([1.0, 1.00390625, 3.1415927])).tolist()
    [1.0, 1.0, 3.140625]
    """
    given = np.ascontiguousarray(floats).reshape(-1)
    made = np.empty(given.size, "<u4")
    half = np.empty(min(PIECE, given.size), "<u4")
    for first in range(0, given.size, PIECE):
        bits = made[first : first + PIECE]
        even = half[: bits.size]
        with np.errstate(over="ignore"):  # looked at below
            bits.view("<f4")[:] = given[first : first + PIECE]
        np.right_shift(bits, 16, out=even)
        np.bitwise_and(even, 1, out=even)
        np.add(even, 0x7FFF, out=even)
        np.add(bits, even, out=bits)
        np.bitwise_and(bits, 0xFFFF0000, out=bits)
        if not np.isfinite(bits.view("<f4")).all():
            raise InvalidInput("holds a number that is not finite, or too large for a bfloat16")
    return made.view("<f4").reshape(floats.shape)


def halves(rounded: Array) -> Array:
    """The upper halves, as uint16; raises InvalidInput for a float32 that has more digits than they hold.

    >>> halves(np.array([1.0, -2.0], np.float32)).tolist()
    [16256, 49152]
    """
    if rounded.dtype != np.float32:
        raise InvalidInput(f"holds {rounded.dtype}, which is not rounded to bfloat16")
    parts = np.ascontiguousarray(rounded, "<f4").reshape(-1).view("<u2")
    if parts[::2].any():
        raise InvalidInput("holds a number that is not rounded to bfloat16")
    return parts[1::2].reshape(rounded.shape)


def whole(halves: Array) -> Array:
    """The float32 that these upper halves are of; not finite where they are not.

    >>> whole(np.array([16256, 49152], np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    return (halves.astype("<u4") << np.uint32(16)).view("<f4")
