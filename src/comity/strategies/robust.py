"""What the robust strategies share: every site's update as one row, each site counting alike.

A site may claim any number of rows, so weights would be a way to attack. A network of a single site,
as in a baseline, is taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from comity.values import tree
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, RoundFailed
from comity.values.site import Site
from comity.values.strategy import Network
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The shared model, and how many sites there are in all."""

    params: Tree
    sites: int


def start(params: Tree, network: Network, least: int) -> State:
    """The first state; raises InvalidInput when the network has fewer sites than `least`, but for one alone."""
    if 1 < network.sites < least:
        raise InvalidInput(f"to withstand that many faulty sites takes {least} sites or more, not {network.sites}")
    return State(params, network.sites)


def contribution(state: State, site: Site) -> Contribution:
    """The site's update, whatever its rows."""
    return Contribution(tree.sub(site.fit(state.params).params, state.params), 1)


def updates(state: State, parts: Sequence[Contribution], least: int) -> Array:
    """The k sites' updates as float64 (k, d); raises RoundFailed when fewer than `least` came."""
    if len(parts) < min(least, state.sites):
        raise RoundFailed(f"{len(parts)} sites took part, but it takes {least} to withstand that many faulty ones")
    leaves = [tree.flatten(tree.like(part.mean(), tree.cast(state.params, np.float64))) for part in parts]
    return np.stack([np.concatenate([leaf.ravel() for leaf in each.values()]) for each in leaves])  # (k, d)


def moved(state: State, update: Array) -> State:
    """The shared model moved by an update (d,)."""
    leaves = tree.flatten(state.params)
    ends = np.cumsum([leaf.size for leaf in leaves.values()])
    parts = np.split(update, ends[:-1])
    by = {path: part.reshape(leaves[path].shape) for path, part in zip(leaves, parts, strict=True)}
    return State(tree.like(tree.add(state.params, tree.unflatten(by)), state.params), state.sites)
