"""FedPer: shared layers below, personal layers above.

Arivazhagan, Aggarwal, Singh and Choudhary, "Federated Learning with Personalization Layers", 2019,
algorithms 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from comity.strategies import names, partial
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.model import Ability
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy, sample
from comity.values.tree import Tree


@final
@dataclass(frozen=True)
class FedPer(Strategy):
    """Average the model but for the named layers, which stay at their site (Arivazhagan et al. 2019).

    A site that was never drawn has the shared layers and the first values of the personal ones.

    >>> FedPer(personal=("head",))
    FedPer(personal=('head',), sites_per_round=0)
    """

    personal: Sequence[str]
    """Layers or single parameters, e.g. ("head",) for head.weight and head.bias."""
    sites_per_round: int = 0
    """How many sites are drawn for each round; 0 means all."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def __post_init__(self) -> None:
        bounds.plain(self)
        object.__setattr__(self, "personal", names.named("personal", self.personal))
        bounds.count("sites_per_round", self.sites_per_round)

    def init(self, params: Tree, network: Network) -> partial.State:
        names.check_split(self.personal, params)
        return partial.State(params)

    def local(self, state: partial.State, memory: Memory, site: Site) -> Given:
        return partial.local(state, memory, site, lambda path: names.belongs(path, self.personal))

    def step(self, state: partial.State, total: Contribution) -> partial.State:
        return partial.step(state, total)

    def select(self, state: partial.State, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        return sample(sites, self.sites_per_round, round, seed)

    def model(self, state: partial.State, memory: Memory) -> Tree:
        return partial.model(state, memory)
