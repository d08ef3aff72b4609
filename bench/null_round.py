"""A round without any work: a model goes to every site, each moves it by a number of its own, and the mean comes back.

It imports only what a task of any experiment imports, and travels as a bundle.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

import comity as co
from comity.values.strategy import Network
from comity.values.tree import Tree


@final
@dataclass(frozen=True)
class State:
    """The model."""

    params: Tree


@final
@dataclass(frozen=True)
class Null(co.Strategy):
    """Move a model of so many 32-bit floating-point numbers."""

    numbers: int

    def init(self, params: Tree, network: Network) -> State:
        return State({"w": np.zeros(self.numbers, np.float32)})

    def local(self, state: State, memory: Tree, site: co.Site) -> tuple[co.Contribution, Tree]:
        return co.Contribution({"w": state.params["w"] + site.data.x[0, 0]}, 1.0), memory

    def step(self, state: State, total: co.Contribution) -> State:
        return State({"w": (total.total["w"] / total.weight).astype(np.float32)})

    def model(self, state: State, memory: Tree) -> Tree:
        return state.params
