"""Sites that differ in how many of their patients are positive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comity.data.partition.units import generator, names, units
from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.rows import RowsGiven
from comity.values.site import Site


def prevalence(
    rows: RowsGiven, *, shares: Sequence[float], rows_per_site: int, seed: int = 0, test_fraction: float = 0.2
) -> list[Site]:
    """One site for each share: `rows_per_site` rows, of which that share (0 to 1) is positive.

    Positive is the second of exactly two classes. Rows that no site needs are left out. Raises InvalidInput
    when there are too few positive or negative rows. The share holds for training and test rows together.
    """
    people = units(rows)
    known, class_of = people.classes()
    if len(known) != 2:
        raise InvalidInput(f"prevalence needs exactly two classes, but there are {len(known)}: {', '.join(known[:5])}")
    shares = bounds.numbers("shares", shares)
    bounds.count("rows_per_site", rows_per_site, least=1)
    if not all(0 <= share <= 1 for share in shares):
        raise InvalidInput(f"shares must be numbers from 0 to 1, one for each site, not {shares}")
    positives = np.array([round(share * rows_per_site) for share in shares])
    site = np.full(people.count, -1)
    for code, wanted in enumerate((rows_per_site - positives, positives)):
        members = np.flatnonzero(class_of == code)
        if wanted.sum() > len(members):
            raise InvalidInput(
                f"these sites need {wanted.sum()} {people.noun} of class {known[code]}, but there are {len(members)}; "
                "lower rows_per_site or change the shares"
            )
        drawn = generator(seed, code).permutation(members)[: wanted.sum()]
        site[drawn] = np.repeat(np.arange(len(shares)), wanted)
    return people.deal(site, names=names(len(shares)), seed=seed, test_fraction=test_fraction)
