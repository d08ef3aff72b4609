"""A site's masked input: what its task has left, encoded and masked piece by piece, each a blob of its own."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from comity.node import materials
from comity.node.sums.kept import SitePart
from comity.node.sums.terms import Masked
from comity.ports.blobs import Blobs
from comity.privacy import masks, messages, site
from comity.privacy.messages import Shared
from comity.privacy.vector import Layout, Vector
from comity.values import codec
from comity.values.contribution import Contribution
from comity.values.digest import Digest
from comity.values.errors import InvalidInput
from comity.values.keys import Identity


def masked_input(
    blobs: Blobs, summed: Masked, part: SitePart, *, told: Shared, blob: str, identity: Identity, folder: Path
) -> SitePart:
    """The site's next state, with its masked input in the store.

    blob: what the site's task has left. Raises InvalidInput for what cannot go into such a sum, and what
    `comity.privacy.site.mask` raises.
    """
    secrets = part.state.secrets
    assert secrets is not None
    try:
        contribution = given(summed, _read(blobs, blob, folder))
    except (KeyError, TypeError, ValueError) as error:  # a user's function left it
        raise InvalidInput(f"what the task has left is no contribution: {error}") from error
    layout = Layout.of(contribution)
    scale = summed.scale_of(layout.numbers)
    vector = Vector(contribution, scale, norm=summed.norm, rounding=secrets.rounding)
    form = blobs.put([vector.layout.written(scale, summed.terms.session)])
    state = site.mask(part.state, told, form=form, size=vector.layout.size)
    own, length, pieces = site.masks_of(state), summed.terms.segment, list[Digest]()
    buffer = np.empty(min(length, vector.layout.size), masks.ring(summed.terms.bits))
    for index in range(-(-vector.layout.size // length)):
        segment = vector.segment(index, length, buffer)
        masks.apply(segment, own.of(index))
        pieces.append(blobs.put([segment.data.cast("B")]))
    state, said = site.commit(state, pieces, identity=identity)
    return SitePart(state=state, said=messages.encode(said), pieces=(form, *pieces))


def _check_noised(layout: Layout, arrays: str) -> None:
    """Raise InvalidInput where something would leave without noise: names and shapes are read by who adds, too."""
    if layout.arrays != arrays:
        found = ", ".join(f"{leaf.path[:80]} {leaf.shape}" for leaf in layout.leaves[:3]) or "none"
        raise InvalidInput(f"under SiteDP a contribution has the arrays that its plan fixes, not these: {found} ...")
    plain = next((leaf.path for leaf in layout.leaves if leaf.size and not leaf.floats), None)
    if plain is not None:
        raise InvalidInput(f"SiteDP noises floats, but the contribution's {plain!r} holds whole numbers")


def _read(blobs: Blobs, blob: str, folder: Path) -> Mapping[str, Any]:
    """A tree in the store, mapped into memory and not copied; raises ValueError for an empty file."""
    with TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch, "part")
        materials.lend(blobs, blob, path)
        with path.open("rb") as file:
            return codec.decode(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def given(summed: Masked, held: Mapping[str, Any]) -> Contribution:
    """What a site gives to the sum, of what its task has left.

    Under noise neither a weight nor names of columns: the task's code chooses them, and no noise hides them. Raises
    InvalidInput for arrays that would tell more than noised numbers do.
    """
    if summed.task.stage == "scores":
        metrics = {name: each for name, each in held.items() if isinstance(each, Mapping)}
        return Contribution(metrics, 1 if metrics else 0)
    if summed.noise is not None:
        contribution = Contribution({"total": held.get("total", {})}, 1)
        _check_noised(Layout.of(contribution), summed.arrays)
        return contribution
    total = {"columns": held.get("columns", {}), "total": held.get("total", {})}
    return Contribution(total, float(held["weight"]))
