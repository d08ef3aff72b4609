"""Numbers as elements of the ring, and back: fixed point, two's complement, and a bound under which no sum wraps.

A float x becomes floor(x · 2^f + u), u uniform in [0, 1), so that its mean is x · 2^f: stochastic rounding (Bonawitz,
Salehi, Konečný, McMahan and Gruteser, "Federated Learning with Autotuned Communication-Efficient Secure Aggregation",
2019, section 2). It is off by less than 2^-f, always. Integers are added as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, final

import numpy as np

from comity.privacy.skellam import Noise, widest
from comity.values.errors import InvalidInput
from comity.values.tree import Array

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

Excess: TypeAlias = Literal["clip", "refuse"]

FINEST = 100
"""Fraction bits are never more, so that no scale leaves the range of a float32."""

PIECE = 1 << 15
"""Numbers that are encoded at a time, so that they stay in the cache from the first step to the last."""

DRAWS = 1 << 16
"""A draw of the rounding is one of so many; means are exact to this part of a step."""


@final
@dataclass(frozen=True, kw_only=True)
class Scale:
    """How numbers of one sum are encoded. Raises InvalidInput when so many sites' numbers would not fit the ring."""

    bits: int
    sites: int
    """Who may be in the sum."""
    max_weight: int
    """The largest weight of a site."""
    clip: float
    """The largest magnitude of a float for each unit of weight."""
    setting: str = "clip"
    """What a user calls it."""
    excess: Excess = "clip"
    """What happens to larger floats: they are clipped for the site's weight, or refused for the largest weight."""
    noise: Noise | None = None
    """What each site adds to its floats after they are whole numbers; it decides how finely they are encoded."""

    def __post_init__(self) -> None:
        if self.noise is not None and self.sites * (self._steps(self.max_weight) + 2 + self.widest) >= 2 ** (
            self.bits - 1
        ):
            raise InvalidInput(
                f"{self.sites} sites with floats up to {self.clip:g} and so little noise do not fit {self.bits} bits; "
                "take bits=64"
            )
        if (self.fraction < 0 and self.noise is None) or self.max_weight > self.whole_limit:
            raise InvalidInput(
                f"{self.sites} sites of weight up to {self.max_weight} and floats up to {self.clip:g} for each unit "
                f"do not fit {self.bits} bits; lower max_weight or {self.setting}, or take bits=64"
            )

    @cached_property
    def fraction(self) -> int:
        """f: the most bits after the point with which the sum of all sites at their largest is within the ring."""
        if self.noise is not None:
            return min(self.noise.fraction(), FINEST)
        above, below = self.clip.as_integer_ratio()
        room, needed = self.whole_limit * below, above * self.max_weight
        most = room.bit_length() - needed.bit_length()
        fits = needed << most <= room if most >= 0 else needed <= room << -most
        return min(most if fits else most - 1, FINEST)

    @property
    def variance(self) -> float:
        """Of a site's noise, in squares of steps; 0 for none."""
        return 0.0 if self.noise is None else self.noise.variance(self.fraction)

    @property
    def widest(self) -> int:
        """The largest magnitude of a site's noise, in steps."""
        return widest(self.variance) if self.noise is not None else 0

    def _steps(self, weight: int) -> int:
        """The clip of a site with this weight in whole steps, rounded down."""
        above, below = self.clip.as_integer_ratio()
        return (above * weight << max(self.fraction, 0)) // (below << max(-self.fraction, 0))

    @property
    def step(self) -> float:
        """2^-f: how far apart encoded floats lie, and what each is off by, less than, after it was clipped."""
        return 2.0**-self.fraction

    @property
    def whole_limit(self) -> int:
        """The largest magnitude of an encoded number: so many sites' add up to less than 2^(bits - 1)."""
        return (2 ** (self.bits - 1) - 1) // self.sites

    def limit(self, weight: int, dtype: np.dtype[np.floating]) -> float:
        """The largest magnitude of a float of a site with this weight, exact in this dtype, as are its steps."""
        counted = weight if self.excess == "clip" else self.max_weight
        steps = self._steps(counted)
        held = dtype.type(steps)
        if int(held) > steps:
            held = np.nextafter(held, dtype.type(0))
        return float(held) * self.step

    def error(self, sites: int) -> float:
        """What each float of a sum of so many sites is off by, at most, from the sum of what they clipped."""
        return sites * self.step


def working(leaf: Array) -> np.dtype[np.floating]:
    """The dtype in which a float leaf is encoded: its own, at least float32. Steps and their parts are exact in it."""
    return np.dtype(np.float32 if leaf.dtype.itemsize <= 4 else np.float64)


def largest(leaf: Array) -> float:
    """The largest magnitude in a leaf, 0.0 in an empty one; raises InvalidInput unless all are finite."""
    if not leaf.size:
        return 0.0
    low, high = leaf.min(), leaf.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InvalidInput("is not finite; lower the learning rate or check the data")
    return float(max(-low, high))


@final
class FloatEncoder:
    """Encodes floats of one site, piece by piece, with buffers that are used again."""

    def __init__(self, bits: int, fraction: int, dtype: np.dtype[np.floating]) -> None:
        self._signed = np.dtype(f"<i{bits // 8}")
        self._scale = dtype.type(2.0**fraction)
        self._dtype = dtype
        self._scaled, self._floor = np.empty(PIECE, dtype), np.empty(PIECE, dtype)
        self._up = np.empty(PIECE, bool)
        self._drawn = bytearray(2 * PIECE + 15)
        self._draws = np.frombuffer(self._drawn, "<u2", PIECE)
        self._zeros = bytes(2 * PIECE)

    def encode(self, floats: Array, out: Array, *, limit: float | None, factor: float, draws: CipherContext) -> None:
        """Write floats, times a factor and within ±limit, into a slice of the ring of the same length.

        factor: not above 1. limit: from `Scale.limit`; None where no float, times the factor, is beyond it.
        draws: the keystream that decides the rounding.
        """
        shrink, size = self._dtype.type(factor), self._dtype.type(DRAWS)
        for first in range(0, len(floats), PIECE):
            given = floats[first : first + PIECE]
            count = len(given)
            scaled, floor, up = self._scaled[:count], self._floor[:count], self._up[:count]
            if factor < 1:
                np.multiply(given, shrink, out=scaled, casting="same_kind")
                given = scaled
            if limit is not None:
                bound = self._dtype.type(limit)
                given = np.clip(given, -bound, bound, out=scaled, casting="same_kind")
            np.multiply(given, self._scale, out=scaled, casting="same_kind")
            np.floor(scaled, out=floor)
            np.subtract(scaled, floor, out=scaled)  # what is left, in [0, 1)
            np.multiply(scaled, size, out=scaled)
            draws.update_into(memoryview(self._zeros)[: 2 * count], self._drawn)
            np.less(self._draws[:count], scaled, out=up)
            np.add(floor, up, out=floor)
            np.copyto(out[first : first + count].view(self._signed), floor, casting="unsafe")


def decode_floats(elements: Array, fraction: int) -> Array:
    """Elements of the ring as float64."""
    return np.ldexp(decode_integers(elements).astype(np.float64), -fraction)


def decode_integers(elements: Array) -> Array:
    """Elements of the ring as int64."""
    return elements.view(np.dtype(f"<i{elements.itemsize}")).astype(np.int64)
