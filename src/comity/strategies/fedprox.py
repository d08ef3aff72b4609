"""Federated learning with a proximal term.

Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith, "Federated Optimization in Heterogeneous Networks",
MLSys 2020, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.model import Ability, Pull
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy, sample
from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The shared model."""

    params: Tree


@final
@dataclass(frozen=True)
class FedProx(Strategy):
    """Average models that were trained with mu/2 · ‖w - shared‖² added to their loss (Li et al. 2020).

    The mean is weighted by rows. FedProx(mu=0) is FedAvg.

    >>> FedProx(mu=0.1)
    FedProx(mu=0.1, sites_per_round=0)
    """

    mu: float = 0.01
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT, Ability.PULL})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.not_negative("mu", self.mu)
        bounds.count("sites_per_round", self.sites_per_round)

    def init(self, params: Tree, network: Network) -> State:
        return State(params)

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        fit = site.fit(state.params, pull=Pull(state.params, self.mu))
        return Contribution(tree.scale(tree.sub(fit.params, state.params), fit.rows), fit.rows), memory

    def step(self, state: State, total: Contribution) -> State:
        return State(tree.like(tree.add(state.params, total.mean()), state.params))

    def select(self, state: State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)
