"""The sites that the data came from."""

from __future__ import annotations

import numpy as np

from comity.data.partition.units import units
from comity.values.errors import InvalidInput
from comity.values.rows import RowsGiven
from comity.values.site import Site
from comity.values.tree import Array


def natural(rows: RowsGiven, *, by: Array, seed: int = 0, test_fraction: float = 0.2) -> list[Site]:
    """One site for each value of `by` (n,), e.g. a hospital column; sites are called by these values.

    Raises InvalidInput when a patient of `rows.ids` has rows at two sites: who keeps them is not ours to say.
    """
    people = units(rows)
    given = np.asarray(by)
    if given.shape != people.of.shape:
        raise InvalidInput(f"by must name one site for each of {len(people.of)} rows, but its shape is {given.shape}")
    if (given != given).any() or any(value is None for value in given.tolist()):
        raise InvalidInput("by is missing for some rows; leave them out or give them a site")
    known, site = np.unique(given.astype(str), return_inverse=True)
    first = np.zeros(people.count, np.int64)
    first[people.of] = site
    if (first[people.of] != site).any():
        straying = len(np.unique(people.of[first[people.of] != site]))
        raise InvalidInput(
            f"{straying} patients have rows at more than one site; give each of them one site in `by`, or leave ids out"
        )
    return people.deal(first, names=[str(name) for name in known], seed=seed, test_fraction=test_fraction)
