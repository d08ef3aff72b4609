"""A site's rows read as numbers, with refusals that name the site and the column.

Column names travel as the keys of a contribution (`columns`), whose arrays are empty: sites whose
columns differ in name or order cannot be added, which is what should happen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

import numpy as np

from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, unknown
from comity.values.site import Site
from comity.values.tree import Array, Tree


def numbers(site: Site) -> Array:
    """x as float64 (n, d); NaN is a missing value. Raises InvalidInput for infinities and other shapes."""
    x = site.data.x
    if x.ndim != 2 or x.dtype.kind not in "biuf":
        raise InvalidInput(f"site {site.name!r}: x must be a table of numbers (n, d), not {x.dtype} {x.shape}")
    x = x.astype(np.float64)
    _refuse(site, np.isinf(x), "infinite")
    return x


def complete(site: Site) -> Array:
    """x as float64 (n, d), where a missing value is refused by the name of its column."""
    x = numbers(site)
    _refuse(site, np.isnan(x), "missing")
    return x


def target(site: Site) -> Array:
    """y as finite float64 (n,)."""
    y = _finite_y(site)
    if y.size != len(y):
        raise InvalidInput(f"site {site.name!r}: y must hold one number a row, but its shape is {y.shape}")
    return y.reshape(-1)


def survival(site: Site) -> tuple[Array, Array]:
    """Time (n,) and whether it ended in an event (n,), from y (n, 2)."""
    y = _finite_y(site)
    if y.ndim != 2 or y.shape[1] != 2:
        raise InvalidInput(f"site {site.name!r}: y must be (n, 2), time then event, but its shape is {y.shape}")
    if (y[:, 0] < 0).any():
        raise InvalidInput(f"site {site.name!r}: the first column of y holds times below 0; leave these rows out")
    if not np.isin(y[:, 1], (0, 1)).all():
        raise InvalidInput(f"site {site.name!r}: the second column of y must be 1 (event) or 0 (censored)")
    return y[:, 0], y[:, 1] == 1


def column_names(site: Site) -> tuple[str, ...]:
    """The site's names of x's columns, or x0, x1, ... where it has none."""
    return site.data.columns or tuple(f"x{i}" for i in range(site.data.x.shape[1]))


def position(site: Site, name: str) -> int:
    """Which column of x has this name; raises InvalidInput, with the nearest name, when none has."""
    if name not in column_names(site):
        raise unknown(f"column at site {site.name!r} called", name, column_names(site))
    return column_names(site).index(name)


def columns(names: Sequence[str]) -> Tree:
    """Column names as a tree of empty arrays, in their order.

    >>> names(columns(["age", "morphology_8500/3"]))
    ['age', 'morphology_8500/3']
    """
    return {f"{i:06} {quote(name, safe='')}": np.zeros(0, np.int64) for i, name in enumerate(names)}


def carried(total: Contribution) -> Tree:
    """The column names that came with a sum of contributions."""
    found = total.total.get("columns", {})  # an empty branch is no branch: x without columns
    assert isinstance(found, Mapping)
    return found


def names(columns: Tree) -> list[str]:
    """The names that `columns` holds."""
    return [unquote(key[7:]) for key in sorted(columns)]


def matching(x: Array, columns: int) -> Array:
    """x as float64 (n, d) for a model of that many columns; raises InvalidInput otherwise."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != columns:
        raise InvalidInput(f"the model was fitted on {columns} columns, but x has shape {x.shape}")
    return x


def fitted(model: Tree, name: str) -> Array:
    """An array of a fitted model; raises InvalidInput when there was no round yet to fit it."""
    if name not in model:
        raise InvalidInput("there is no fitted model yet; give the experiment more rounds")
    return np.asarray(model[name])


def _refuse(site: Site, bad: Array, word: str) -> None:
    if bad.any():
        column = int(np.argmax(bad.any(axis=0)))
        raise InvalidInput(
            f"site {site.name!r}: column {column_names(site)[column]!r} has {int(bad[:, column].sum())} {word} values; "
            "leave these rows out or fill them in"
        )


def _finite_y(site: Site) -> Array:
    y = site.data.targets
    if y.dtype.kind not in "biuf":
        raise InvalidInput(f"site {site.name!r}: y must hold numbers, not {y.dtype}; convert it first")
    y = y.astype(np.float64)
    if not np.isfinite(y).all():
        raise InvalidInput(f"site {site.name!r}: y has missing or infinite values; leave these rows out")
    return y
