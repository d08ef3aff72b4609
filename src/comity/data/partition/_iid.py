"""Sites that are alike: a random deal in equal parts."""

from __future__ import annotations

import numpy as np

from comity.data.partition.units import generator, names, spread, units
from comity.values.rows import RowsGiven
from comity.values.site import Site


def iid(rows: RowsGiven, *, sites: int, seed: int = 0, test_fraction: float = 0.2) -> list[Site]:
    """Equally large random samples without replacement; sizes differ by one at most."""
    people = units(rows, sites)
    site = spread(people.count, np.ones(sites), generator(seed))
    return people.deal(site, names=names(sites), seed=seed, test_fraction=test_fraction)
