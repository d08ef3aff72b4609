"""So many units for each site, of which a given share is positive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comity.data.partition.units import Units, generator
from comity.values.errors import InvalidInput
from comity.values.tree import Array


def drawn(people: Units, sizes: Sequence[int], shares: Sequence[float], *, seed: int, lower: str) -> Array:
    """A site (0, 1, ...; -1 for none) for each unit: sizes[i] of them for site i, of which shares[i] (0 to 1) positive.

    Positive is the second of exactly two classes. Raises InvalidInput when there are too few of a class, and advises to
    lower `lower`.
    """
    known, class_of = people.classes()
    if len(known) != 2:
        raise InvalidInput(f"prevalence needs exactly two classes, but there are {len(known)}: {', '.join(known[:5])}")
    totals = np.array(sizes)
    positives = np.array([round(share * size) for share, size in zip(shares, sizes, strict=True)])
    site = np.full(people.count, -1)
    for code, wanted in enumerate((totals - positives, positives)):
        members = np.flatnonzero(class_of == code)
        if wanted.sum() > len(members):
            raise InvalidInput(
                f"these sites need {wanted.sum()} {people.noun} of class {known[code]}, but there are {len(members)}; "
                f"lower {lower} or change the shares"
            )
        order = generator(seed, code).permutation(members)[: wanted.sum()]
        site[order] = np.repeat(np.arange(len(totals)), wanted)
    return site
