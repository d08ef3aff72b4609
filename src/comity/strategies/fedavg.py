"""Federated averaging.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep Networks
from Decentralized Data", AISTATS 2017, algorithm 1. With server momentum: Hsu, Qi and Brown,
"Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from comity.strategies import names
from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.model import Ability
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy, sample
from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The shared model, and the running mean of its updates ({} without momentum)."""

    params: Tree
    velocity: Tree


@final
@dataclass(frozen=True)
class FedAvg(Strategy):
    """Move the model by the mean of the sites' updates, weighted by their rows (McMahan et al. 2017).

    >>> FedAvg(sites_per_round=10)
    FedAvg(server_lr=1.0, server_momentum=0.0, sites_per_round=10)
    """

    server_lr: float = 1.0
    server_momentum: float = 0.0
    """v ← server_momentum · v + mean update; the model moves by server_lr · v."""
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.positive("server_lr", self.server_lr)
        bounds.fraction("server_momentum", self.server_momentum)
        bounds.count("sites_per_round", self.sites_per_round)

    def init(self, params: Tree, network: Network) -> State:
        return State(params, tree.zeros_like(params) if self.server_momentum else {})

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        fit = site.fit(state.params)
        return Contribution(tree.scale(tree.sub(fit.params, state.params), fit.rows), fit.rows), memory

    def step(self, state: State, total: Contribution) -> State:
        update = total.mean()
        if not self.server_momentum:
            return State(names.moved(state.params, tree.scale(update, self.server_lr), update), {})
        velocity = tree.axpy(self.server_momentum, state.velocity, update)
        params = names.moved(state.params, tree.scale(velocity, self.server_lr), update)
        return State(params, tree.like(velocity, state.velocity))

    def select(self, state: State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)
