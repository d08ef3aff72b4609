"""FedBN: batch norm stays at the site.

Li, Jiang, Zhang, Kamp and Dou, "FedBN: Federated Learning on Non-IID Features via Local Batch
Normalization", ICLR 2021, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from comity.strategies import partial
from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.model import Ability
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy, sample
from comity.values.tree import Tree

MARK = "running_mean"
"""The leaf that every batch norm has, beside its variance, weight and bias."""


@final
@dataclass(frozen=True)
class FedBN(Strategy):
    """Average the model but for its batch-norm layers, which stay at their site (Li et al. 2021).

    A batch-norm layer is one that has a `running_mean`. A site that was never drawn has the shared
    layers and the first values of its batch norms.

    >>> FedBN()
    FedBN(sites_per_round=0)
    """

    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("sites_per_round", self.sites_per_round)

    def init(self, params: Tree, network: Network) -> partial.State:
        layers = batch_norms(params)
        if not layers:
            raise InvalidInput(
                f"FedBN keeps batch norm at the sites, but no layer of this model has a {MARK}; "
                "say batch_norm='average' if it has batch norm, else use FedAvg"
            )
        if all(path.startswith(layers) for path in tree.flatten(params)):
            raise InvalidInput("this model is nothing but batch norm, so FedBN has nothing to share")
        return partial.State(params)

    def local(self, state: partial.State, memory: Memory, site: Site) -> Given:
        layers = batch_norms(state.params)
        return partial.local(state, memory, site, lambda path: path.startswith(layers))

    def step(self, state: partial.State, total: Contribution) -> partial.State:
        return partial.step(state, total)

    def select(self, state: partial.State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)

    def model(self, state: partial.State, memory: Memory) -> Tree:
        return partial.model(state, memory)


def batch_norms(params: Tree) -> tuple[str, ...]:
    """What the paths of batch-norm layers begin with.

    >>> import numpy as np
    >>> batch_norms({"bn1.running_mean": np.zeros(2), "bn1.weight": np.ones(2), "out.weight": np.ones(2)})
    ('bn1.',)
    """
    return tuple(path.removesuffix(MARK) for path in tree.flatten(params) if path.endswith(MARK))
