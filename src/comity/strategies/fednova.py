"""FedNova: updates divided by how far the local optimizer could have gone.

Wang, Liu, Liang, Joshi and Poor, "Tackling the Objective Inconsistency Problem in Heterogeneous
Federated Optimization", NeurIPS 2020, equation 6; local momentum: section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.strategies import names
from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, NotSupported
from comity.values.model import Ability, Train
from comity.values.optimizer import SGD
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
class FedNova(Strategy):
    """Average the sites' updates per step, however many steps each took (Wang et al. 2020).

    The means are weighted by rows. A site that takes more steps than another has no more say, as it
    has in FedAvg. With equal steps it is FedAvg.

    >>> FedNova()
    FedNova(local_momentum=0.0, server_lr=1.0, sites_per_round=0)
    """

    local_momentum: float = 0.0
    """The momentum that the sites train with, by which late gradients count for less than early ones."""
    server_lr: float = 1.0
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.fraction("local_momentum", self.local_momentum)
        bounds.positive("server_lr", self.server_lr)
        bounds.count("sites_per_round", self.sites_per_round)

    def accepts(self, train: Train) -> None:
        optimizer = train.optimizer
        if not isinstance(optimizer, SGD) or optimizer.nesterov:
            raise NotSupported(f"FedNova is defined for co.SGD, with or without plain momentum, not for {optimizer}")
        if optimizer.momentum != self.local_momentum:
            raise InvalidInput(
                f"the sites train with momentum {optimizer.momentum} but FedNova has local_momentum="
                f"{self.local_momentum}; give both the same"
            )

    def init(self, params: Tree, network: Network) -> State:
        return State(params)

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        fit = site.fit(state.params)
        update, length = tree.sub(fit.params, state.params), self.length(fit.steps)
        direction = tree.merge(tree.scale(update, 1 / length), tree.pick(update, names.is_statistic))
        total = {"direction": tree.scale(direction, fit.rows), "length": np.asarray(length * fit.rows)}
        return Contribution(total, fit.rows), memory

    def step(self, state: State, total: Contribution) -> State:
        mean = total.mean()
        direction, length = names.branch(mean, "direction"), float(np.asarray(mean["length"]))
        return State(names.moved(state.params, tree.scale(direction, self.server_lr * length), direction))

    def select(self, state: State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)

    def length(self, steps: int) -> float:
        """‖a‖₁, how often a local training adds up gradients: (K - ρ(1 - ρᴷ)/(1 - ρ)) / (1 - ρ) for K steps.

        >>> FedNova().length(10), FedNova(local_momentum=0.5).length(2)
        (10.0, 2.5)
        """
        rho = self.local_momentum
        return (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)
