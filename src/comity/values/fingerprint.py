"""A name for who got which rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from comity.values.digest import Digest, canonical, digest
from comity.values.rows import Rows
from comity.values.site import Site, as_sites
from comity.values.tree import Array


def fingerprint(sites: Sequence[Site]) -> Digest:
    """A digest of every site's name and rows: two partitions with the same one are the same, bit for bit."""
    return digest(
        canonical([[site.name, *(_of(rows) for rows in (site.train, site.test))] for site in as_sites(sites)])
    )


def _of(rows: Rows | None) -> list[object] | None:
    return None if rows is None else [list(rows.columns), *_arrays((rows.x, rows.y, rows.ids))]


def _arrays(arrays: Iterable[Array | None]) -> Iterable[object]:
    for array in arrays:
        plain = array.astype(str) if array is not None and array.dtype.kind == "O" else array
        yield plain if plain is None else [plain.dtype.str, list(plain.shape), digest(plain.tobytes())]
