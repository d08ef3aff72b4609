"""Sites of different sizes that are otherwise alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np

from comity.data.partition.units import generator, names, spread, units
from comity.values import bounds
from comity.values.errors import InvalidInput, unknown
from comity.values.rows import RowsGiven
from comity.values.site import Site
from comity.values.tree import Array

Sizes: TypeAlias = Literal["linear", "exponential", "lognormal"]


def quantity(
    rows: RowsGiven, *, sites: int, sizes: Sizes | Sequence[float], seed: int = 0, test_fraction: float = 0.2
) -> list[Site]:
    """Random samples whose sizes are in proportion to `sizes`; every row is dealt.

    "linear": 1, 2, 3, ...; "exponential": 1, 2, 4, ...; "lognormal": drawn, with standard deviation 1 of
    the logarithm. Or one number for each site, which is its number of rows if they add up to all rows.
    """
    people = units(rows, sites)
    source = generator(seed)
    site = spread(people.count, _shares(sizes, sites, source), source)
    return people.deal(site, names=names(sites), seed=seed, test_fraction=test_fraction)


def _shares(sizes: Sizes | Sequence[float], sites: int, source: np.random.Generator) -> Array:
    match sizes:
        case "linear":
            return np.arange(1.0, sites + 1)
        case "exponential":
            return np.exp2(np.arange(sites) - sites)
        case "lognormal":
            return source.lognormal(sigma=1.0, size=sites)
        case str():
            raise unknown("kind of sizes", sizes, get_args(Sizes))
        case _:
            given = np.array(bounds.numbers("sizes", sizes))
            if len(given) != sites or not (given > 0).all():
                raise InvalidInput(f"sizes must be {sites} numbers above 0, one for each site, not {list(sizes)}")
            return given
