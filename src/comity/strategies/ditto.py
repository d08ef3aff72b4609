"""Ditto: a personal model beside the shared one.

Li, Hu, Beirami and Smith, "Ditto: Fair and Robust Federated Learning Through Personalization",
ICML 2021, algorithm 1.
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
class Ditto(Strategy):
    """FedAvg, and at each site a model of its own that is pulled towards the shared one (Li et al. 2021).

    The personal model is what a site is evaluated with. It starts from the shared model of the round
    in which the site first takes part, and is trained from where it was with
    strength/2 · ‖w - shared‖² added to its loss, by the same recipe: two trainings a round.

    >>> Ditto(strength=1.0)
    Ditto(strength=1.0, sites_per_round=0)
    """

    strength: float = 0.1
    """λ in the paper: 0 is purely local; the larger, the nearer to the shared model."""
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    fits: ClassVar[int] = 2
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT, Ability.PULL})

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.not_negative("strength", self.strength)
        bounds.count("sites_per_round", self.sites_per_round)

    def init(self, params: Tree, network: Network) -> State:
        return State(params)

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        fit = site.fit(state.params)
        personal = site.fit(memory or state.params, pull=Pull(state.params, self.strength))
        return Contribution(tree.scale(tree.sub(fit.params, state.params), fit.rows), fit.rows), personal.params

    def step(self, state: State, total: Contribution) -> State:
        return State(tree.like(tree.add(state.params, total.mean()), state.params))

    def select(self, state: State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)

    def model(self, state: State, memory: Memory) -> Tree:
        return memory or state.params
