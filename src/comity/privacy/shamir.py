"""Secrets in shares of which a threshold opens them and fewer tell nothing.

Shamir, "How to Share a Secret", Communications of the ACM 22 (1979), over the integers modulo 2^255 - 19.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from comity.values.errors import DecodeError, InvalidInput

P = 2**255 - 19
"""The field. Secrets are below it; whoever makes one draws again where it is not."""

SIZE = 32
"""Bytes of a secret and of a share, little-endian."""

Random: TypeAlias = Callable[[int], bytes]
"""Gives so many bytes that nobody else can know: `os.urandom`, but in simulations and tests."""


def element(random: Random) -> bytes:
    """A uniform element of the field."""
    while (drawn := int.from_bytes(random(SIZE), "little") % 2**255) >= P:
        pass
    return drawn.to_bytes(SIZE, "little")


def split(secret: bytes, threshold: int, places: Sequence[int], random: Random) -> dict[int, bytes]:
    """The secret's shares at these places (from 1), any `threshold` of which give it back."""
    if not 1 <= threshold <= len(places) or len(set(places)) < len(places) or min(places) < 1:
        raise InvalidInput(f"{threshold} of the places {list(places)} cannot open a secret")
    constant = number(secret)
    coefficients = [constant, *(number(element(random)) for _ in range(threshold - 1))]
    return {place: _value(coefficients, place).to_bytes(SIZE, "little") for place in places}


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret of `threshold` of these shares, those at the lowest places; raises DecodeError for too few."""
    if len(shares) < threshold:
        raise DecodeError(f"{len(shares)} shares do not open a secret of which {threshold} are needed")
    places = sorted(shares)[:threshold]
    secret = 0
    for place in places:  # Lagrange's polynomial at 0
        above, below = 1, 1
        for other in places:
            if other != place:
                above = above * other % P
                below = below * (other - place) % P
        secret += number(shares[place]) * above * pow(below, -1, P)
    return (secret % P).to_bytes(SIZE, "little")


def number(data: bytes) -> int:
    """A field element's number; raises DecodeError for bytes that are none."""
    made = int.from_bytes(data, "little")
    if len(data) != SIZE or made >= P:
        raise DecodeError("this is no secret or share: it is not 32 bytes below 2^255 - 19")
    return made


def checked(data: bytes) -> bytes:
    """The bytes; raises DecodeError when they are no field element."""
    number(data)
    return data


def _value(coefficients: Sequence[int], place: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * place + coefficient) % P
    return value
