"""What a site gives in a round, as it travels: compressed, with what that has lost kept in the site's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from comity.engine.experiment import Experiment
from comity.values import compression, tree
from comity.values.compression import Compressed
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.seed import derive
from comity.values.strategy import Given, Memory
from comity.values.tree import Array, Tree

RESIDUAL = "~residual"
"""What of a site's memory is not its strategy's: what its floats have lost so far."""

CLOSER = 1 - 2.0**-8
"""Rounded floats of a length of so much of the clip are within it, by bfloat16 for sure."""


@final
@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of arrays."""

    sent: int
    """As they travel."""
    uncompressed: int
    """As they were."""


@final
@dataclass(frozen=True, slots=True)
class Sent:
    """What a site has given in a round."""

    contribution: Contribution
    """As it is read."""
    memory: Memory
    arrays: Compressed
    """The contribution's total, as it travels."""
    size: Size | None
    """None where it is not compressed."""


def own(memory: Memory) -> Memory:
    """What a strategy remembers."""
    return {name: each for name, each in memory.items() if name != RESIDUAL} if RESIDUAL in memory else memory


def sent(experiment: Experiment, given: Given, before: Memory, *, clip: float | None, place: tuple[int, str]) -> Sent:
    """What travels of what a site gives, and what it then remembers.

    before: what it remembered until then. clip: of SiteDP, within which the contribution is, and stays. place: the
    round's number and the site's name. Raises InvalidInput for what cannot be compressed.
    """
    contribution, memory = given
    if experiment.compression is None:
        return Sent(contribution, memory, compression.plain(contribution.total), None)
    total = contribution.total
    if kept := before.get(RESIDUAL):
        total = _with(total, kept)
    seed = derive(experiment.seed, "compression", *place)
    made = experiment.compression.compressed(total, seed)
    if (dp := experiment.site_dp) is not None:
        while (length := dp.length(made.total)) > dp.limit(clip):
            total = dp.shrunk(total, CLOSER * dp.limit(clip) / length)
            made = experiment.compression.compressed(total, seed)
    read = made.total
    if experiment.compression.feeds_back:
        memory = {**memory, RESIDUAL: _lost(total, read)}
    size = Size(sent=made.nbytes, uncompressed=tree.nbytes(contribution.total))
    return Sent(Contribution(read, contribution.weight), memory, made, size)


def _with(total: Tree, kept: Any) -> Tree:
    """The total and what was kept back of earlier ones, each in the total's dtype."""
    leaves, more = tree.flatten(total), tree.flatten(kept)
    for path, leaf in more.items():
        if path not in leaves or leaves[path].shape != leaf.shape:
            raise InvalidInput(
                f"the contribution has no {path!r} of shape {leaf.shape}, of which something was kept back"
            )
        leaves[path] = np.asarray(leaves[path] + leaf.astype(leaves[path].dtype))
    return tree.unflatten(leaves)


def _lost(total: Tree, read: Tree) -> Tree:
    """What whoever reads it does not have of the total, where that is not as it was."""
    came = tree.flatten(read)
    lost: dict[str, Array] = {}
    for path, leaf in tree.flatten(total).items():
        if came[path] is not leaf:
            lost[path] = np.asarray(leaf - came[path]).astype(leaf.dtype)
    return tree.unflatten(lost)
