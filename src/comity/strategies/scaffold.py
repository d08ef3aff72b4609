"""SCAFFOLD: control variates against the drift of sites that differ.

Karimireddy, Kale, Mohri, Reddi, Stich and Suresh, "SCAFFOLD: Stochastic Controlled Averaging for
Federated Learning", ICML 2020, algorithm 1 with option II.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

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
    """The shared model, and what the shared control variate follows from."""

    params: Tree
    controls: Tree
    """Sum of rows · control variate over the sites."""
    rows: float
    """Of the sites that have taken part so far."""
    seen: int
    """How many these are."""
    sites: int
    """How many there are in all."""

    def control(self) -> Tree:
        """c: the sites' control variates, weighted by rows; those of sites never drawn are zero."""
        return tree.scale(self.controls, self.seen / self.sites / self.rows if self.seen else 0.0)


@final
@dataclass(frozen=True)
class Scaffold(Strategy):
    """Correct every local gradient by how the site's differs from all sites' (Karimireddy et al. 2020).

    Updates and control variates are weighted by rows, so that the fixed point is the optimum of the
    pooled rows; with equal rows this is the paper. A site remembers its control variate. It and the
    shared one agree as long as a site whose contribution was left out also keeps its old memory.

    >>> Scaffold()
    Scaffold(server_lr=1.0, sites_per_round=0)
    """

    server_lr: float = 1.0
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT, Ability.CORRECTION, Ability.GRADIENT_STEPS})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.positive("server_lr", self.server_lr)
        bounds.count("sites_per_round", self.sites_per_round)

    def init(self, params: Tree, network: Network) -> State:
        return State(params, tree.zeros_like(params), rows=0.0, seen=0, sites=network.sites)

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        shared, own = state.control(), memory or tree.zeros_like(state.params)
        excess = tree.sub(shared, own)
        fit = site.fit(state.params, correction=excess)
        update = tree.sub(fit.params, state.params)
        control = tree.sub(tree.scale(update, -1 / fit.lr_sum), excess)  # option II: c_i - c + (x - y_i) / (K · lr)
        total = {
            "update": tree.scale(update, fit.rows),
            "control": tree.scale(tree.sub(control, own), fit.rows),
            "new": np.array([0.0, 0.0] if memory else [fit.rows, 1.0]),
        }
        return Contribution(total, fit.rows), control

    def step(self, state: State, total: Contribution) -> State:
        rows, sites = np.asarray(total.total["new"])
        update, control = names.branch(total.mean(), "update"), names.branch(total.total, "control")
        return State(
            params=tree.like(tree.axpy(self.server_lr, update, state.params), state.params),
            controls=tree.like(tree.add(state.controls, control), state.controls),
            rows=state.rows + float(rows),
            seen=state.seen + round(float(sites)),
            sites=state.sites,
        )

    def select(self, state: State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)
