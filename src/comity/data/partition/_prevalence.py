"""Sites that differ in how many of their patients are positive."""

from __future__ import annotations

from collections.abc import Sequence

from comity.data.partition._drawn import drawn
from comity.data.partition.units import names, units
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
    shares = bounds.numbers("shares", shares)
    bounds.count("rows_per_site", rows_per_site, least=1)
    if not all(0 <= share <= 1 for share in shares):
        raise InvalidInput(f"shares must be numbers from 0 to 1, one for each site, not {shares}")
    site = drawn(people, [rows_per_site] * len(shares), shares, seed=seed, lower="rows_per_site")
    return people.deal(site, names=names(len(shares)), seed=seed, test_fraction=test_fraction)
