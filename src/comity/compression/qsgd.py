"""Contributions as levels of 8 bits, rounded at random so that their mean is right.

Alistarh, Grubic, Li, Tomioka and Vojnovic, "QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding",
NeurIPS 2017: a float x of a block whose largest magnitude is m becomes floor(x / s + u), u uniform in [0, 1), where
s = m / 127; so its mean is x / s (section 3.1, with the norm and the blocks of section 5).

What that loses is not lost with error feedback: a site adds it to its floats of the next round (Seide, Fu, Droppo, Li
and Yu, "1-Bit Stochastic Gradient Descent", 2014; Karimireddy, Rebjock, Stich and Jaggi, "Error Feedback Fixes
SignSGD", ICML 2019, algorithm 2). It converges where |Q(x) - x|² <= (1 - d) |x|² for some d > 0; here each float
is off by less than s, so that a block of 256 is off by less than 256 m² / 127² < 0.016 |x|².
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.values import bounds, tree
from comity.values.compression import Compressed, Compression
from comity.values.errors import InvalidInput
from comity.values.quantized import BLOCK, LEVELS, MOST, SCALES, TOTAL, blocks
from comity.values.tree import Array, Tree

SMALLEST = 64
"""Numbers; an array of fewer, e.g. a bias, would be hardly smaller with a scale and two names, and travels as it is."""

PIECE = 1 << 15
"""Numbers that are quantized at a time, so that they stay in the cache; a multiple of BLOCK."""

DRAWS = 2.0**-16
"""A draw of the rounding is one of 2^16; means are exact to this part of a level."""


@final
@dataclass(frozen=True)
class QSGD(Compression):
    """Each float of a contribution becomes one of 255 levels, of 8 bits, rounded at random with the right mean.

    Blocks of 256 floats share the scale that their largest is the highest level of, so that each is off by less than
    one part in 127 of that. Arrays of fewer than 64 numbers travel as they are.

    >>> QSGD().compressed({"w": tree.np.ones(256, tree.np.float32)}, seed=0).nbytes
    260
    """

    error_feedback: bool = True
    """Add what the floats of a round have lost to those of the site's next one; it is kept in the site's memory, which
    never leaves it."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        if not isinstance(self.error_feedback, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"error_feedback must be True or False, not {self.error_feedback!r}")

    @property
    def feeds_back(self) -> bool:
        """Whether there is error feedback."""
        return self.error_feedback

    def compressed(self, total: Tree, seed: int) -> Compressed:
        """The total with its larger arrays of floats as levels and scales."""
        draws, made = np.random.SFC64(seed), dict[str, Array]()
        for path, leaf in tree.flatten(total).items():
            if leaf.dtype.kind != "f" or leaf.size < SMALLEST:
                made[f"{TOTAL}/{path}"] = leaf
                continue
            try:
                levels, scales = quantized(np.ascontiguousarray(leaf).reshape(-1), draws)
            except InvalidInput as error:
                raise InvalidInput(f"a contribution: {path!r} {error}") from error
            made[f"{LEVELS}/{path}"], made[f"{SCALES}/{path}"] = levels.reshape(leaf.shape), scales
        return Compressed(tree.unflatten(made))


def quantized(floats: Array, draws: np.random.BitGenerator) -> tuple[Array, Array]:
    """(levels (n,), scales of their blocks) of floats (n,); raises InvalidInput for one not finite or too large."""
    levels, scales = np.empty(floats.size, np.int8), np.empty(blocks(floats.size), np.float32)
    dtype = np.dtype(np.float32 if floats.dtype.itemsize <= 4 else np.float64)
    parts, chances = (np.empty((PIECE // BLOCK, BLOCK), dtype) for _ in range(2))
    for first in range(0, floats.size, PIECE):
        given = floats[first : first + PIECE]
        rows, chance = parts[: blocks(given.size)], chances[: blocks(given.size)]
        rows[-1] = 0  # where the last block is not full
        rows.reshape(-1)[: given.size] = given
        scale = scales[first // BLOCK :][: len(rows)]
        scale[:] = _scale(np.maximum(rows.max(axis=1), -rows.min(axis=1)))
        drawn = draws.random_raw(rows.size // 4).astype("<u8", copy=False).view("<u2").reshape(rows.shape)
        np.multiply(drawn, dtype.type(DRAWS), out=chance, casting="unsafe")
        np.divide(rows, scale[:, None], out=rows)
        np.add(rows, chance, out=rows)
        np.floor(rows, out=rows)
        np.copyto(levels[first : first + given.size], rows.reshape(-1)[: given.size], casting="unsafe")
    return levels, scales


def _scale(largest: Array) -> Array:
    """The least float32, nearly, by which a block of this largest magnitude has no level beyond 127."""
    with np.errstate(over="ignore"):  # looked at below
        made = np.nextafter(np.divide(largest, MOST).astype(np.float32), np.float32(np.inf))
    if not np.isfinite(made).all():
        raise InvalidInput("holds a number that is not finite, or too large for levels of 8 bits")
    return made
