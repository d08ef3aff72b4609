"""Coordinate-wise trimmed mean.

Yin, Chen, Ramchandran and Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical
Rates", ICML 2018, definition 2.
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
from comity.values.tree import Tree


@final
@dataclass(frozen=True)
class TrimmedMean(SeesEach):
    """Move each parameter by the mean of the sites' updates without the most extreme ones (Yin et al. 2018).

    Withstands `trim` faulty sites. Every site counts alike, whatever its rows.

    >>> TrimmedMean(trim=2)
    TrimmedMean(trim=2)
    """

    trim: int = 1
    """How many of the largest and how many of the smallest values are cut: βm in the paper."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("trim", self.trim)

    def init(self, params: Tree, network: Network) -> robust.State:
        return robust.start(params, network, least=2 * self.trim + 1)

    def local(self, state: robust.State, memory: Memory, site: Site) -> Given:
        return robust.contribution(state, site), memory

    def step(self, state: robust.State, parts: Sequence[Contribution]) -> robust.State:
        updates = np.sort(robust.updates(state, parts, least=2 * self.trim + 1), axis=0)  # (k, d)
        cut = min(self.trim, (len(parts) - 1) // 2)  # nothing to cut at a site alone
        return robust.moved(state, updates[cut : len(parts) - cut].mean(axis=0))
