"""FedDyn: each site's loss is regularized anew in every round, so that the optima agree.

Acar, Zhao, Matas Navarro, Mattina, Whatmough and Saligrama, "Federated Learning Based on Dynamic
Regularization", ICLR 2021, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from comity.strategies import names
from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.model import Ability, Pull
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy, sample
from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The shared model, and what the paper's h follows from."""

    params: Tree
    gradients: Tree
    """Sum of rows · gradient at the site's last model, over the sites."""
    rows: float
    """Of the sites that have taken part so far."""
    seen: int
    """How many these are."""
    sites: int
    """How many there are in all."""


@final
@dataclass(frozen=True)
class FedDyn(Strategy):
    """Train with -⟨g, w⟩ + alpha/2 · ‖w - shared‖² added to the loss, and average (Acar et al. 2021).

    A site remembers g, the gradient of its own loss where its last training ended, taken to have run to
    its optimum. The shared model moves to the sites' mean minus h / alpha, h being the mean of all g.
    Means are weighted by rows, so that the fixed point is the optimum of the pooled rows; with equal
    rows this is the paper. A site whose contribution was left out must also keep its old memory.

    >>> FedDyn(alpha=0.1)
    FedDyn(alpha=0.1, sites_per_round=0)
    """

    alpha: float = 0.01
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT, Ability.CORRECTION, Ability.PULL})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.positive("alpha", self.alpha)
        bounds.count("sites_per_round", self.sites_per_round)

    def init(self, params: Tree, network: Network) -> State:
        return State(params, tree.zeros_like(params), rows=0.0, seen=0, sites=network.sites)

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        own = memory or tree.zeros_like(state.params)
        fit = site.fit(state.params, correction=tree.scale(own, -1), pull=Pull(state.params, self.alpha))
        update = tree.sub(fit.params, state.params)
        change = tree.scale(update, -self.alpha)
        total = {
            "update": tree.scale(update, fit.rows),
            "gradient": tree.scale(change, fit.rows),
            "new": np.array([0.0, 0.0] if memory else [fit.rows, 1.0]),
        }
        return Contribution(total, fit.rows), tree.add(own, change)

    def step(self, state: State, total: Contribution) -> State:
        rows, sites = np.asarray(total.total["new"])
        rows, seen = state.rows + float(rows), state.seen + round(float(sites))
        gradients = tree.add(state.gradients, names.branch(total.total, "gradient"))
        h = tree.scale(gradients, seen / state.sites / rows)
        update = names.branch(total.mean(), "update")
        params = names.moved(state.params, tree.axpy(-1 / self.alpha, h, update), update)
        return State(params, tree.like(gradients, state.gradients), rows, seen, state.sites)

    def select(self, state: State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)
