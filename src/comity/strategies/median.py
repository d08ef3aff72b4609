"""Coordinate-wise median.

Yin, Chen, Ramchandran and Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical
Rates", ICML 2018, definition 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.strategies import robust
from comity.values.contribution import Contribution
from comity.values.model import Ability
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, SeesEach
from comity.values.tree import Tree


@final
@dataclass(frozen=True)
class Median(SeesEach):
    """Move each parameter by the median of the sites' updates (Yin et al. 2018).

    Withstands any fewer than half of the sites. Every site counts alike, whatever its rows.

    >>> Median()
    Median()
    """

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def init(self, params: Tree, network: Network) -> robust.State:
        return robust.start(params, network, least=1)

    def local(self, state: robust.State, memory: Memory, site: Site) -> Given:
        return robust.contribution(state, site), memory

    def step(self, state: robust.State, parts: Sequence[Contribution]) -> robust.State:
        return robust.moved(state, np.median(robust.updates(state, parts, least=1), axis=0))
