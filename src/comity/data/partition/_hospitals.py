"""Hospitals that differ in all that is given for each: size, prevalence, and how their patients are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import final

import numpy as np

from comity.data.partition._drawn import drawn
from comity.data.partition.units import generator, units
from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.rows import Rows, RowsGiven, as_rows
from comity.values.site import Site
from comity.values.tree import Array


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """What one hospital is to have.

    >>> Hospital(rows=120, positive=0.8).noise
    0.0
    """

    rows: int
    positive: float
    """The share of them, 0 to 1, that is of the second class."""
    noise: float = 0.0
    """Standard deviation of what is added to every number by chance, in standard deviations of its column."""
    shift: float = 0.0
    """By how many standard deviations every column is moved, up or down as drawn for this hospital; what is not a
    table, such as images, is moved up as a whole: it becomes brighter."""

    def __post_init__(self) -> None:
        bounds.count("rows", self.rows, least=1)
        if not (isinstance(self.positive, int | float) and 0 <= self.positive <= 1):
            raise InvalidInput(f"positive must be a share from 0 to 1, not {self.positive!r}")
        bounds.not_negative("noise", self.noise)
        bounds.not_negative("shift", self.shift)


def hospitals(rows: RowsGiven, *, wanted: Sequence[Hospital], seed: int = 0, test_fraction: float = 0.2) -> list[Site]:
    """Hospital A, Hospital B, ...: each as it is wanted, no patient in two of them.

    Rows that no hospital needs are left out. Standard deviations are those of all rows, missing values (NaN) left out.
    Training and test rows of a hospital are measured alike. Raises InvalidInput when there are too few rows of a class.
    """
    rows = as_rows(rows)
    if not 1 <= len(wanted) <= len(ascii_uppercase):
        raise InvalidInput(f"hospitals are called by one letter each, so give 1 to 26 of them, not {len(wanted)}")
    people = units(rows)
    site = drawn(people, [h.rows for h in wanted], [h.positive for h in wanted], seed=seed, lower="their rows")
    called = [f"Hospital {letter}" for letter in ascii_uppercase[: len(wanted)]]
    dealt = people.deal(site, names=called, seed=seed, test_fraction=test_fraction)
    if not any(each.noise or each.shift for each in wanted):
        return dealt
    if rows.x.dtype.kind not in "biuf":
        raise InvalidInput(f"noise and shift need numbers in x, not {rows.x.dtype}")
    table = rows.x.ndim <= 2
    std = np.ma.filled(np.ma.masked_invalid(rows.x).std(axis=0 if table else None, dtype=float), 0.0)
    return [_measured(each, as_wanted, std, seed) for each, as_wanted in zip(dealt, wanted, strict=True)]


def _measured(site: Site, wanted: Hospital, std: Array, seed: int) -> Site:
    """The site as this hospital measures its patients."""
    if not (wanted.noise or wanted.shift):
        return site
    source = generator(seed, "measured", site.name)
    offset = wanted.shift * std * (source.choice([-1.0, 1.0], size=std.shape) if std.ndim else 1.0)

    def seen(part: Rows) -> Rows:
        kind = part.x.dtype if part.x.dtype.kind == "f" else np.dtype(float)
        x = part.x + offset + wanted.noise * std * source.standard_normal(part.x.shape)
        return replace(part, x=x.astype(kind))

    return replace(site, train=seen(site.train), test=None if site.test is None else seen(site.test))
