"""Cyclic weight transfer.

Chang, Balachandar, Lam, Yi, Brown, Beers, Rosen, Rubin and Kalpathy-Cramer, "Distributed deep learning
networks among institutions for medical imaging", JAMIA 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.values import tree
from comity.values.contribution import Contribution
from comity.values.model import Ability
from comity.values.seed import derive
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The model that travels."""

    params: Tree


@final
@dataclass(frozen=True)
class Cyclic(Strategy):
    """Train at one site a round; the next goes on where it ended (Chang et al. 2018).

    A cycle takes as many rounds as there are sites. Nothing is averaged, so secure aggregation has
    nothing to hide a site's model behind.

    >>> Cyclic().select(None, 4, ["A", "B", "C"], seed=0)
    ['A']
    """

    shuffled: bool = False
    """Whether each cycle visits the sites in an order of its own, drawn from the seed; else by name."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def init(self, params: Tree, network: Network) -> State:
        return State(params)

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        return Contribution(site.fit(state.params).params, 1), memory

    def step(self, state: State, total: Contribution) -> State:
        return State(tree.like(total.mean(), state.params))

    def select(self, state: State | None, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        cycle, place = divmod(round - 1, len(sites))
        if self.shuffled:
            generator = np.random.Generator(np.random.PCG64(derive(seed, "cycle", cycle)))
            place = int(generator.permutation(len(sites))[place])
        return [sites[place]]
