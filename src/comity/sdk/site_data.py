"""A site's rows as a dataset: files of arrays, and an opener that reads them without comity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from comity.sdk import datasets
from comity.sdk.client import Client
from comity.sdk.datasets import NewDataset
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site

OPENER = '''\
"""Reads train.npz and test.npz, each with x and, where there are targets, y."""

from pathlib import Path

import numpy as np

from comity import Rows

COLUMNS = {columns!r}
X = {x!r}
Y = {y!r}
PARTS = {parts!r}


class SiteRows:
    def get_data(self, folders):
        return {{part: self._read([Path(folder, f"{{part}}.npz") for folder in folders]) for part in PARTS}}

    def fake_data(self, n_samples):
        random = np.random.default_rng(0)
        x = random.normal(size=(n_samples, *X[0])).astype(X[1])
        y = None if Y is None else random.integers(0, 2, size=(n_samples, *Y[0])).astype(Y[1])
        return {{part: Rows(x, y, columns=COLUMNS) for part in PARTS}}

    def _read(self, paths):
        held = [np.load(path, allow_pickle=False) for path in paths]
        named = {{name: np.concatenate([each[name] for each in held]) for name in held[0].files}}
        return Rows(named["x"], named.get("y"), columns=COLUMNS, ids=named.get("ids"))
'''


def register(
    client: Client, name: str, site: Site, *, authorize: Sequence[str], logs: Sequence[str], folder: Path | None
) -> str:
    """The key of a dataset of the site's rows; they are kept in `folder`, or sent to the node when None.

    authorize: organizations whose experiments may use it; logs: those that may read the logs of tasks on it.
    """
    parts = {
        part: rows for part, rows in (("train", site.train), ("test", site.test)) if rows is not None and len(rows)
    }
    if not parts:
        raise InvalidInput(f"site {site.name!r} has no rows to register; give it train= or test=")
    if any(rows.x.dtype.hasobject or (rows.y is not None and rows.y.dtype.hasobject) for rows in parts.values()):
        raise InvalidInput(f"the rows of {site.name!r} hold Python objects; give arrays of numbers")
    with TemporaryDirectory() as made:
        sample = Path(made, "rows") if folder is None else folder
        sample.mkdir(parents=True, exist_ok=True)
        for part, rows in parts.items():
            np.savez(sample / f"{part}.npz", **_arrays(rows))
        opener = Path(made, "opener.py")
        opener.write_text(_opener(parts))
        new = NewDataset(
            name=name,
            opener=opener,
            folders=[sample],
            permissions={"public": False, "authorized_ids": list(authorize)},
            logs={"public": False, "authorized_ids": list(logs)},
            upload=folder is None,
        )
        return datasets.add(client, new)["key"]


def _arrays(rows: Rows) -> dict[str, Any]:
    held = {"x": rows.x, "y": rows.y, "ids": rows.ids}
    # Names as a data frame has them are Python objects, which would be pickled.
    return {
        name: np.asarray(array.tolist()) if array.dtype.hasobject else array
        for name, array in held.items()
        if array is not None
    }


def _opener(parts: dict[str, Rows]) -> str:
    """The opener's code; of the rows it tells shapes, kinds of numbers and names of columns."""
    first = next(iter(parts.values()))
    y = None if first.y is None else (first.y.shape[1:], first.y.dtype.str)
    return OPENER.format(columns=first.columns, x=(first.x.shape[1:], first.x.dtype.str), y=y, parts=tuple(parts))
