"""What a partitioner deals: rows, or patients with all of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from comity.data.partition.classes import classes
from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.rows import Rows, RowsGiven, as_rows
from comity.values.seed import derive
from comity.values.site import Site
from comity.values.tree import Array


@final
@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Rows and the unit (0, 1, ...) that each belongs to."""

    rows: Rows
    of: Array
    """(n,) a unit for each row."""
    count: int

    @property
    def noun(self) -> str:
        """What one is called in messages."""
        return "rows" if self.rows.ids is None else "patients"

    def classes(self) -> tuple[list[str], Array]:
        """(the classes, the class of each unit (count,)): the most frequent one among its rows."""
        known, codes = classes(self.rows.targets)
        if self.rows.ids is None:
            return known, codes
        votes = np.zeros((self.count, len(known)), np.int64)
        np.add.at(votes, (self.of, codes), 1)
        return known, votes.argmax(axis=1)

    def deal(self, site: Array, *, names: Sequence[str], seed: int, test_fraction: float) -> list[Site]:
        """Sites of these names, from the site (0, 1, ...; -1 for none) of each unit (count,).

        `test_fraction` of a site's units, at least one, become its test rows. Rows keep their order.
        """
        bounds.fraction("test_fraction", test_fraction)
        of_site = _positions(site, len(names))
        half = np.zeros(self.count, np.int64)
        for name, units in zip(names, of_site, strict=True):
            if len(units) < (2 if test_fraction else 1):
                raise InvalidInput(
                    f"{name} would get {len(units)} of the {self.count} {self.noun}, too few to train"
                    f"{' and test' if test_fraction else ''} on; use fewer sites or a milder skew"
                )
            held = min(max(round(test_fraction * len(units)), 1), len(units) - 1) if test_fraction else 0
            half[generator(seed, "test", name).permutation(units)[:held]] = 1
        train = _positions(np.where(half == 0, site, -1)[self.of], len(names))
        test = _positions(np.where(half == 1, site, -1)[self.of], len(names))
        return [
            Site(name, self.rows.take(own), self.rows.take(held) if len(held) else None)
            for name, own, held in zip(names, train, test, strict=True)
        ]


def units(given: RowsGiven, sites: int = 1) -> Units:
    """The units of these rows, of which there must be at least one for each of so many sites."""
    bounds.count("sites", sites)
    rows = as_rows(given)
    if rows.ids is None:
        found = Units(rows, np.arange(len(rows)), len(rows))
    elif rows.ids.ndim != 1:
        raise InvalidInput(f"ids must name one patient a row, but they have shape {rows.ids.shape}")
    else:
        known, of = np.unique(rows.ids, return_inverse=True)
        found = Units(rows, of, len(known))
    if not 1 <= sites <= found.count:
        raise InvalidInput(f"sites must be from 1 to {found.count}, the number of {found.noun}, not {sites}")
    return found


def names(count: int, noun: str = "site") -> list[str]:
    """So many names in order: their numbers have the same width.

    >>> names(2)
    ['site-01', 'site-02']
    """
    width = max(2, len(str(count)))
    return [f"{noun}-{number:0{width}}" for number in range(1, count + 1)]


def generator(seed: int, *uses: str | int) -> np.random.Generator:
    """The source of chance for one use."""
    return np.random.Generator(np.random.PCG64(derive(seed, "partition", *uses)))


def spread(count: int, shares: Array, source: np.random.Generator) -> Array:
    """A site (0, 1, ...) for each of `count` units: drawn at random, in numbers that are as near to `shares` as can be.

    >>> sorted(spread(5, np.array([1, 4]), generator(0)).tolist())
    [0, 1, 1, 1, 1]
    """
    edges = np.rint(np.cumsum(shares) / np.sum(shares) * count).astype(np.int64)
    dealt = np.repeat(np.arange(len(shares)), np.diff(edges, prepend=0))
    return source.permutation(dealt)


def _positions(site: Array, sites: int) -> list[Array]:
    """Where each site's entries stand, in order."""
    order = np.argsort(site, kind="stable")
    return np.split(order, np.searchsorted(site[order], np.arange(sites + 1)))[1:-1]
