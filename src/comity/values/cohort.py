"""How many sites a secure sum is of."""

from __future__ import annotations

from comity.values.errors import NotSupported

FEWEST = 3
"""With two, each could subtract its own part from the sum."""

MOST = 40
"""Each pair of sites shares a mask; beyond this the pairs cost more than is built for."""


def check_number(sites: int) -> None:
    """Raises NotSupported unless so many sites, the aggregator's own not counted, can be summed securely."""
    if sites < FEWEST:
        raise NotSupported(
            f"secure aggregation needs at least {FEWEST} sites besides the aggregator's own, not {sites}: "
            "from a sum of two, each could subtract its own part"
        )
    if sites > MOST:
        raise NotSupported(
            f"secure aggregation masks every pair of sites and is built for up to {MOST} organizations, not {sites}; "
            "draw fewer for each round with the strategy's sites_per_round"
        )


def two_thirds(sites: int) -> int:
    """The fewest that are more than two thirds of so many.

    >>> two_thirds(3), two_thirds(4), two_thirds(40)
    (3, 3, 27)
    """
    return 2 * sites // 3 + 1
