"""A strategy: what each site does in a round, and how their contributions move the shared state.

A strategy is a final frozen dataclass. Its fields are hyper-parameters, its methods are pure: state
in, state out. Its state is a frozen dataclass of its own whose fields are trees, arrays, numbers or
None, so that any state can be stored and resumed bit for bit (`comity.values.record`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import numpy as np

from comity.values.contribution import Contribution
from comity.values.errors import NotSupported
from comity.values.model import Ability, Train
from comity.values.seed import derive
from comity.values.site import Site
from comity.values.table import Table
from comity.values.tree import Array, Tree

Memory: TypeAlias = Tree
"""A site's private state between rounds; {} at first."""

Given: TypeAlias = tuple[Contribution, Memory]
"""What `local` returns."""

Steps: TypeAlias = Generator[Contribution, Contribution, Given]
"""What a `local` that sums many times within a round returns: `total = yield contribution`."""


@final
@dataclass(frozen=True, slots=True)
class Network:
    """What a strategy may know of the network before the first round."""

    sites: int
    """How many sites there are in all, sampled or not."""


class Strategy(ABC):
    """A strategy whose step needs only the sum of the contributions."""

    needs: ClassVar[frozenset[Ability]] = frozenset()
    """What local training must be able to do; checked when an experiment is made."""
    fits: ClassVar[int] = 1
    """How often `local` trains in a round, at most: what RecordDP accounts for, and holds it to."""

    @abstractmethod
    def init(self, params: Tree, network: Network) -> Any:
        """The first state. `params` are the model's fresh parameters; {} for a strategy without a model."""

    @abstractmethod
    def local(self, state: Any, memory: Memory, site: Site) -> Given | Steps:
        """One site's part of a round: what leaves it, and what it remembers."""

    @abstractmethod
    def step(self, state: Any, total: Contribution) -> Any:
        """The next state, from the sum of the included sites' contributions."""

    def accepts(self, train: Train) -> None:  # noqa: B027, a plain default: any recipe will do
        """Raises NotSupported or InvalidInput, in one sentence, for a recipe that it does not go with."""

    def select(self, state: Any, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        """Who takes part in a round (1 is the first); all, unless replaced. `sites` are in order of name."""
        return sites

    def finished(self, state: Any) -> bool:
        """Whether nothing would change any more; never, unless replaced."""
        return False

    def model(self, state: Any, memory: Memory) -> Tree:
        """The parameters to evaluate, predict with and save at a site with this memory ({} for none)."""
        return state.params

    def table(self, state: Any) -> Table | None:
        """What was found, for a strategy whose state is itself the result; None unless replaced."""
        return None

    def predict(self, model: Tree, x: Array) -> Array:
        """Predictions of a strategy that is a model in itself, e.g. Cox; refused unless replaced."""
        raise NotSupported(f"{type(self).__name__} predicts nothing by itself; leave metrics= out")


class SeesEach(ABC):
    """A strategy whose step must see every contribution by itself. Refused under secure aggregation."""

    needs: ClassVar[frozenset[Ability]] = frozenset()
    fits: ClassVar[int] = 1

    @abstractmethod
    def init(self, params: Tree, network: Network) -> Any:
        """The first state."""

    @abstractmethod
    def local(self, state: Any, memory: Memory, site: Site) -> Given:
        """One site's part of a round: what leaves it, and what it remembers."""

    @abstractmethod
    def step(self, state: Any, parts: Sequence[Contribution]) -> Any:
        """The next state, from the included sites' contributions in the order of site names."""

    def accepts(self, train: Train) -> None:  # noqa: B027, a plain default: any recipe will do
        """Raises NotSupported or InvalidInput, in one sentence, for a recipe that it does not go with."""

    def select(self, state: Any, round: int, sites: Sequence[str], seed: int) -> Sequence[str]:
        """Who takes part in a round; all, unless replaced."""
        return sites

    def finished(self, state: Any) -> bool:
        """Whether nothing would change any more; never, unless replaced."""
        return False

    def model(self, state: Any, memory: Memory) -> Tree:
        """The parameters to evaluate, predict with and save at a site with this memory."""
        return state.params

    def table(self, state: Any) -> Table | None:
        """What was found, for a strategy whose state is itself the result; None unless replaced."""
        return None

    def predict(self, model: Tree, x: Array) -> Array:
        """Predictions of a strategy that is a model in itself; refused unless replaced."""
        raise NotSupported(f"{type(self).__name__} predicts nothing by itself; leave metrics= out")


def sample(sites: Sequence[str], count: int, round: int, seed: int) -> Sequence[str]:
    """`count` sites drawn without replacement for this round, in order of name; all when count is 0.

    >>> sample(["a", "b", "c", "d"], 2, round=1, seed=0) == sample(["a", "b", "c", "d"], 2, round=1, seed=0)
    True
    """
    if count == 0 or count >= len(sites):
        return sites
    generator = np.random.Generator(np.random.PCG64(derive(seed, "select", round)))
    return [sites[int(i)] for i in sorted(generator.choice(len(sites), count, replace=False, shuffle=False))]
