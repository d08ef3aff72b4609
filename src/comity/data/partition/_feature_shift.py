"""Sites whose patients are alike but are measured differently, e.g. by other scanners."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from comity.data.partition._iid import iid
from comity.data.partition.units import generator
from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.rows import Rows, RowsGiven, as_rows
from comity.values.site import Site
from comity.values.tree import Array


def feature_shift(
    rows: RowsGiven,
    *,
    sites: int,
    shift: float = 0.5,
    scale: float = 0.1,
    noise: float = 0.0,
    seed: int = 0,
    test_fraction: float = 0.2,
) -> list[Site]:
    """An iid partition; then each site sees x as mean + (x - mean) · e^(scale·a) + std · (shift·b + noise·c).

    a and b are standard normal, drawn once for each site and column (once for each site where x is not a
    table: the contrast and brightness of a scanner); c is drawn for every number. Mean and std are those of
    all rows, missing values (NaN) left out. Training and test rows of a site are shifted alike. Columns of 0
    and 1 do not stay so.
    """
    rows = as_rows(rows)
    for name, value in (("shift", shift), ("scale", scale), ("noise", noise)):
        bounds.not_negative(name, value)
    if rows.x.dtype.kind not in "biuf":
        raise InvalidInput(f"feature_shift needs numbers in x, not {rows.x.dtype}")
    kind = rows.x.dtype if rows.x.dtype.kind == "f" else np.dtype(float)
    axis = 0 if rows.x.ndim <= 2 else None
    values = np.ma.masked_invalid(rows.x)
    mean, std = (np.ma.filled(made(axis=axis, dtype=float), 0.0) for made in (values.mean, values.std))

    def seen(part: Rows, source: np.random.Generator, factor: Array, offset: Array) -> Rows:
        x = part.x * factor + offset + noise * std * source.standard_normal(part.x.shape)
        return replace(part, x=x.astype(kind))

    shifted: list[Site] = []
    for site in iid(rows, sites=sites, seed=seed, test_fraction=test_fraction):
        source = generator(seed, "shift", site.name)
        factor = np.exp(scale * source.standard_normal(mean.shape))
        offset = mean * (1 - factor) + shift * std * source.standard_normal(mean.shape)
        train = seen(site.train, source, factor, offset)
        test = None if site.test is None else seen(site.test, source, factor, offset)
        shifted.append(Site(site.name, train, test))
    return shifted
