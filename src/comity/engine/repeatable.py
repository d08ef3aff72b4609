"""Randomness that can be repeated: for simulations, where nothing is secret."""

from __future__ import annotations

from comity.values.noise import Random
from comity.values.seed import derive


def repeatable(seed: int, *use: str | int) -> Random:
    """Bytes that follow from a seed and a use; nothing is loaded or begun before the first are asked for."""
    begun: Random | None = None

    def random(count: int) -> bytes:
        nonlocal begun
        if begun is None:
            from comity.engine.masked import drawn  # the command line starts without its cryptography

            begun = drawn(derive(seed, *use))
        return begun(count)

    return random
