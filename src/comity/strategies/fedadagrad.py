"""FedAdagrad: Adagrad at the server.

Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from comity.strategies import adaptive
from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.model import Ability
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy, sample
from comity.values.tree import Tree


@final
@dataclass(frozen=True)
class FedAdagrad(Strategy):
    """Move the model by Adagrad along the mean update: v ← v + d² (Reddi et al. 2021).

    The updates are weighted by rows; m and v start at 0 and are not corrected for it, as in FLamby.

    >>> FedAdagrad(server_lr=0.1)
    FedAdagrad(server_lr=0.1, beta1=0.9, tau=1e-08, sites_per_round=0)
    """

    server_lr: float = 0.01
    beta1: float = 0.9
    tau: float = 1e-8
    """Added to √v: the smaller, the more adaptive."""
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def __post_init__(self) -> None:
        bounds.plain(self)
        adaptive.check(self)

    def init(self, params: Tree, network: Network) -> adaptive.State:
        return adaptive.start(params)

    def local(self, state: adaptive.State, memory: Memory, site: Site) -> Given:
        return adaptive.contribution(state, site), memory

    def step(self, state: adaptive.State, total: Contribution) -> adaptive.State:
        update = total.mean()
        second = tree.map(lambda v, d: v + d * d, state.second, update)
        return adaptive.moved(self, state, update, second)

    def select(self, state: adaptive.State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)
