"""What comes out of a masked sum: the file that its task leaves, made piece by piece of the masked inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from comity.node.sums.terms import Masked
from comity.ports.blobs import Blobs
from comity.privacy import aggregator, messages
from comity.privacy.aggregator import Aggregation
from comity.privacy.opening import root_of_sum, totals
from comity.privacy.vector import Layout, decoded, read_layout
from comity.values import codec
from comity.values.digest import Digest, digest
from comity.values.stream import Bytes
from comity.values.tree import Array


@final
@dataclass(frozen=True)
class CameOut:
    """What came out."""

    blob: Digest
    root: Digest
    clipped: int


def came_out(blobs: Blobs, summed: Masked, state: Aggregation) -> CameOut:
    """The sum in the store; raises what `unmasking` raises, and NotFound when an input is gone."""
    secrets = aggregator.unmasking(state)
    form = next(iter(state.inputs.values())).commitment.form
    layout = read_layout(b"".join(blobs.open(Digest(form))), summed.scale_of, summed.terms.session)
    digests, extras = list[Digest](), list[int]()

    def fetch(name: str, index: int) -> bytes:
        return b"".join(blobs.open(Digest(state.inputs[name].segments[index])))

    def noted() -> Iterator[Array]:
        for total in totals(summed.terms, state.inputs, secrets, fetch):
            digests.append(digest(total.data))
            yield total

    blob = blobs.put(_written(layout, summed, noted(), extras))
    root = root_of_sum(summed.terms, messages.digest_of(*state.commitments), digests)
    return CameOut(blob, root, extras[1])


def _written(layout: Layout, summed: Masked, segments: Iterator[Array], extras: list[int]) -> Iterator[Bytes]:
    """The file, as a sum in the clear would be; the weight of a round's contributions is its last array."""
    wide: dict[str, tuple[str, tuple[int, ...]]] = {}
    wide |= {leaf.path: ("F64" if leaf.floats else "I64", leaf.shape) for leaf in layout.leaves}
    if summed.task.stage == "sum":
        wide["weight"] = "F64", ()
    yield codec.header(wide)
    for leaf, piece in decoded(layout, summed.scale_of(layout.numbers), segments):
        if leaf is None:
            extras += [int(each) for each in piece]
        else:
            yield piece.view(np.uint8).data
    if summed.task.stage == "sum":
        yield np.float64(extras[0]).tobytes()
