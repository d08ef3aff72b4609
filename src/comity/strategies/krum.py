"""Krum and multi-Krum.

Blanchard, El Mhamdi, Guerraoui and Stainer, "Machine Learning with Adversaries: Byzantine Tolerant
Gradient Descent", NeurIPS 2017, sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.strategies import robust
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.model import Ability
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, SeesEach
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True)
class Krum(SeesEach):
    """Move the model by the update that lies nearest to its neighbours (Blanchard et al. 2017).

    With `keep` above 1, multi-Krum: by the mean of that many nearest ones. Withstands `byzantine` of at
    least 2 · byzantine + 3 sites. Every site counts alike, whatever its rows; of two equally near ones
    the first by name is taken.

    >>> Krum(byzantine=2, keep=3)
    Krum(byzantine=2, keep=3)
    """

    byzantine: int = 1
    """f: how many sites may be faulty."""
    keep: int = 1
    """m: how many updates are kept; at most the sites without `byzantine` and two more."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("byzantine", self.byzantine)
        bounds.count("keep", self.keep, least=1)

    def init(self, params: Tree, network: Network) -> robust.State:
        return robust.start(params, network, self._least())

    def local(self, state: robust.State, memory: Memory, site: Site) -> Given:
        return robust.contribution(state, site), memory

    def step(self, state: robust.State, parts: Sequence[Contribution]) -> robust.State:
        updates = robust.updates(state, parts, self._least())  # (k, d)
        nearest = np.argsort(scores(updates, len(parts) - self.byzantine - 2), kind="stable")[: self.keep]
        return robust.moved(state, updates[np.sort(nearest)].mean(axis=0))

    def _least(self) -> int:
        return self.byzantine + 2 + max(self.byzantine + 1, self.keep)


def scores(updates: Array, neighbours: int) -> Array:
    """The sum of squared distances from each update (k, d) to that many nearest others: (k,).

    >>> scores(np.array([[0.0], [1.0], [3.0], [9.0]]), neighbours=2)
    array([ 10.,   5.,  13., 100.])
    """
    distances = np.stack([np.square(updates - each).sum(axis=1) for each in updates])  # (k, k)
    return np.sort(distances, axis=1)[:, 1 : 1 + max(neighbours, 0)].sum(axis=1)
