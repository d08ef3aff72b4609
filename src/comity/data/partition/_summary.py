"""What came out of a partition, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comity.data.partition.classes import strata
from comity.values.fingerprint import fingerprint
from comity.values.site import Site, as_sites
from comity.values.table import Cell, Table
from comity.values.tree import Array


def summary(sites: Sequence[Site]) -> Table:
    """For each site: training rows, test rows, and the share of each class among the training rows.

    For survival it is the share of events, for other numbers their mean over what was measured. The title
    holds the partition's fingerprint.

    >>> from comity.values.rows import Rows
    >>> rows = Rows(np.arange(4.0), np.array([0, 0, 0, 1]))
    >>> print(summary([Site("A", rows, rows.take(np.arange(2)))]))
    partition sha256:86485d27ee3b
    site  rows  test  class 0  class 1
    A        4     2    0.750    0.250
    """
    sites = as_sites(sites)
    columns, cells = _targets([site.train.y for site in sites if site.train.y is not None])
    if len(cells) < len(sites):
        columns, cells = [], [[] for _ in sites]
    return Table(
        f"partition {fingerprint(sites)[:19]}",
        ("site", "rows", "test", *columns),
        [
            [site.name, len(site.train), 0 if site.test is None else len(site.test), *own]
            for site, own in zip(sites, cells, strict=True)
        ],
    )


def _targets(parts: list[Array]) -> tuple[list[str], list[list[Cell]]]:
    found = strata(parts) if parts else None
    if found is not None:
        known, codes = found
        shares = [np.bincount(own, minlength=len(known)) / max(len(own), 1) for own in codes]
        named = known if known == ["censored", "event"] else [f"class {name}" for name in known]
        return named, [[float(share) for share in own] for own in shares]
    if any(part.dtype.kind not in "biuf" for part in parts):
        return [], [[] for _ in parts]
    return ["mean target"], [[_mean(part.astype(float))] for part in parts]


def _mean(part: Array) -> Cell:
    measured = part[~np.isnan(part)]
    return float(measured.mean()) if measured.size else None
