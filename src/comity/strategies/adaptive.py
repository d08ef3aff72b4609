"""What FedAdam, FedYogi and FedAdagrad share: the mean update is a pseudo-gradient for the server.

Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar and McMahan, "Adaptive Federated Optimization",
ICLR 2021, algorithm 2. The three differ in the second moment v only. As in FLamby, and unlike the
paper, v starts at 0 and not at tau². The defaults are FLamby's, too: the paper's experiments take beta1 = 0
for FedAdagrad, and beta2 = 0.99 for the other two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from comity.strategies import names
from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.site import Site
from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The shared model, and the first and second moments of its mean updates."""

    params: Tree
    first: Tree
    second: Tree


class Rates(Protocol):
    """The hyper-parameters that all three have."""

    @property
    def server_lr(self) -> float: ...
    @property
    def beta1(self) -> float: ...
    @property
    def tau(self) -> float: ...
    @property
    def sites_per_round(self) -> int: ...


def check(rates: Rates) -> None:
    """Raises InvalidInput for a hyper-parameter out of its range."""
    bounds.positive("server_lr", rates.server_lr)
    bounds.fraction("beta1", rates.beta1)
    bounds.positive("tau", rates.tau)
    bounds.count("sites_per_round", rates.sites_per_round)


def start(params: Tree) -> State:
    """Moments of zero."""
    return State(params, tree.zeros_like(params), tree.zeros_like(params))


def contribution(state: State, site: Site) -> Contribution:
    """The site's update, weighted by its rows."""
    fit = site.fit(state.params)
    return Contribution(tree.scale(tree.sub(fit.params, state.params), fit.rows), fit.rows)


def moved(rates: Rates, state: State, update: Tree, second: Tree) -> State:
    """m ← beta1 · m + (1 - beta1) · update;  w ← w + server_lr · m / (√v + tau), without bias correction."""
    first = tree.map(lambda m, d: rates.beta1 * m + (1 - rates.beta1) * d, state.first, update)
    by = tree.map(lambda m, v: rates.server_lr * m / (np.sqrt(v) + rates.tau), first, second)
    params = names.moved(state.params, by, update)
    return State(params, tree.like(first, state.first), tree.like(second, state.second))
