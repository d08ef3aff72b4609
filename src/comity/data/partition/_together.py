"""The opposite of a partition."""

from __future__ import annotations

from collections.abc import Sequence

from comity.values.errors import InvalidInput
from comity.values.rows import Rows, concatenate
from comity.values.site import Site, as_sites


def together(sites: Sequence[Site]) -> tuple[Rows, Rows]:
    """(all training rows, all test rows) of sites, in their order: to deal them to others.

    Raises InvalidInput when no site has test rows, or columns differ.
    """
    given = as_sites(sites)
    tests = [site.test for site in given if site.test is not None]
    if not tests:
        raise InvalidInput("no site has test rows, so there is nothing to put together on that side; give such sites")
    return concatenate([site.train for site in given if len(site.train)]), concatenate(tests)
