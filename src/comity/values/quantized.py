"""Floats as levels of 8 bits: whole numbers from -127 to 127, and for each block of 256 one float32 to scale by.

So they travel, beside what travels as it is: in the tree of a contribution the levels of `total/PATH` are called
`~levels/PATH`, the scales of its blocks, in C order, `~scales/PATH`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from comity.values import tree
from comity.values.errors import DecodeError
from comity.values.tree import Array, Tree

BLOCK = 256

MOST = 127
"""The largest level."""

TOTAL, LEVELS, SCALES = "total", "~levels", "~scales"


def blocks(count: int) -> int:
    """How many scales so many numbers have."""
    return -(-count // BLOCK)


def numbers(levels: Array, scales: Array, first: int = 0) -> Array:
    """The floats (n,) that these levels (n,) are of, as float64: exact.

    scales: of the whole array. first: the place in it of the first of these levels. Raises DecodeError for a level that
    none has, and a scale that is negative; it has looked at no more scales than are needed.

    >>> numbers(np.array([1, -127], np.int8), np.array([0.5], np.float32))
    array([  0.5, -63.5])
    """
    if levels.size and levels.min() < -MOST:
        raise DecodeError(f"holds the level {levels.min()}, and they are from -{MOST} to {MOST}")
    begin, end = first // BLOCK, blocks(first + levels.size)
    needed = scales[begin:end].astype(np.float64)
    if needed.size and needed.min() < 0:
        raise DecodeError(f"holds the scale {needed.min():g}, and none is negative")
    made = np.repeat(needed, BLOCK)[first - begin * BLOCK :][: levels.size]
    return np.multiply(made, levels, out=made)


def check(levels: tuple[np.dtype[Any], tuple[int, ...]], scales: tuple[np.dtype[Any], tuple[int, ...]] | None) -> None:
    """Raise DecodeError unless arrays of these dtypes and shapes are levels and their scales."""
    dtype, shape = levels
    if dtype != np.int8:
        raise DecodeError(f"levels are int8, not {dtype}")
    wanted = (blocks(int(np.prod(shape, dtype=object))),)
    if scales is None or scales[0] != np.float32 or scales[1] != wanted:
        got = "none" if scales is None else f"{scales[0]} {scales[1]}"
        raise DecodeError(f"levels of shape {shape} have scales of float32 {wanted}, not {got}")


def restored(held: Mapping[str, Any]) -> Tree:
    """The total of a contribution's tree, its quantized floats as float64; raises DecodeError where that cannot be."""
    plain = tree.flatten(held.get(TOTAL, {}))
    levels, scales = tree.flatten(held.get(LEVELS, {})), tree.flatten(held.get(SCALES, {}))
    if odd := sorted((levels.keys() ^ scales.keys()) | (levels.keys() & plain.keys())):
        raise DecodeError(f"{odd[0]!r} has levels without scales, scales without levels, or is there twice")
    made: dict[str, Array] = {}
    for path, leaf in levels.items():
        try:
            check((leaf.dtype, leaf.shape), (scales[path].dtype, scales[path].shape))
            made[path] = numbers(leaf.reshape(-1), scales[path]).reshape(leaf.shape)
        except DecodeError as error:
            raise DecodeError(f"{path!r} {error}") from error
    return tree.unflatten({**plain, **made})
