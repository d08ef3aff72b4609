"""A shared trunk with private heads, summed at every step: MELLODDY's scheme.

Heyndrickx et al., "MELLODDY: Cross-pharma Federated Learning at Unprecedented Scale Unlocks Benefits in
QSAR without Compromising Proprietary Information", J. Chem. Inf. Model. 2024. Within a round the sites
step together: at each step the trunk's gradients are summed over the sites and every site moves its
copy of the trunk by that sum; the head is moved by the site's own gradient and never leaves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np

from comity.strategies import names
from comity.values import tree
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, NotSupported
from comity.values.model import Ability, Train
from comity.values.optimizer import SGD, Adam, Optimizer, Slots
from comity.values.site import Site
from comity.values.strategy import Memory, Network, Steps, Strategy
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The trunk, with heads as they were at the start, and the trunk's optimizer after `count` steps."""

    params: Tree
    slots: Tree
    count: int


@final
@dataclass(frozen=True, slots=True)
class Part:
    """Parameters that are moved together, and their optimizer."""

    params: Tree
    slots: Tree
    """By kind of moment; {} at first, and for an optimizer that remembers nothing."""
    count: int

    def moved(self, optimizer: Optimizer, grads: Tree) -> Part:
        """One step further."""
        leaves = tree.flatten(self.params)
        listed, along = list(leaves.values()), list(tree.flatten(tree.like(grads, self.params)).values())
        slots: Slots = [list(tree.flatten(names.branch(self.slots, kind)).values()) for kind in sorted(self.slots)]
        listed, slots = optimizer.step(listed, along, slots or optimizer.start(listed), self.count + 1)
        kinds = {str(i): _named(leaves, moments) for i, moments in enumerate(slots)}
        return replace(self, params=_named(leaves, listed), slots=kinds, count=self.count + 1)


@final
@dataclass(frozen=True)
class SharedTrunk(Strategy):
    """Train one trunk by the gradients of all sites at every step, under private heads (MELLODDY).

    The trunk's gradient is the mean over the rows of all sites' mini-batches, so the trunk steps as if
    those rows were pooled. Optimizers go on from round to round: the trunk's in the state, for it is the
    same everywhere, each head's in its site's memory. A site that misses a round keeps its head and
    takes the trunk as it then is. All sites must step alike: Train(steps=...), with co.SGD or co.Adam.

    >>> SharedTrunk(trunk=("embedding", "layer1"))
    SharedTrunk(trunk=('embedding', 'layer1'))
    """

    trunk: Sequence[str]
    """Layers or single parameters that are shared; all others are private."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.GRADIENT})

    def __post_init__(self) -> None:
        object.__setattr__(self, "trunk", names.named("trunk", self.trunk))

    def accepts(self, train: Train) -> None:
        if not train.steps:
            raise InvalidInput(
                "SharedTrunk sums at every step, so all sites must take the same number of steps; "
                f"give Train(steps=...) instead of epochs={train.epochs}"
            )
        if not isinstance(train.optimizer, SGD | Adam):
            kind = type(train.optimizer).__name__
            raise NotSupported(f"SharedTrunk moves the trunk itself, by co.SGD or co.Adam, not by {kind}")

    def init(self, params: Tree, network: Network) -> State:
        names.check_split(self.trunk, params)
        return State(params, {}, count=0)

    def local(self, state: State, memory: Memory, site: Site) -> Steps:
        optimizer = site.recipe.optimizer
        trunk = Part(tree.pick(state.params, self._shared), state.slots, state.count)
        first = tree.pick(state.params, lambda path: not self._shared(path))
        count = int(np.asarray(memory.get("count", 0)))
        head = Part(names.branch(memory, "head") or first, names.branch(memory, "slots"), count)
        for batch in site.steps():
            grads, _ = site.gradient(tree.merge(head.params, trunk.params), batch)
            total = yield Contribution(tree.scale(tree.pick(grads, self._shared), len(batch)), len(batch))
            trunk = trunk.moved(optimizer, total.mean())
            head = head.moved(optimizer, tree.pick(grads, lambda path: not self._shared(path)))
        moved = {"params": trunk.params, "slots": trunk.slots, "count": np.asarray(trunk.count)}
        kept = {"head": head.params, "slots": head.slots, "count": np.asarray(head.count)}
        return Contribution(moved, 1), kept

    def step(self, state: State, total: Contribution) -> State:
        # every site gives the same trunk, so their mean is that trunk
        same = total.mean()
        trunk, slots = names.branch(same, "params"), names.branch(same, "slots")
        params = tree.like(tree.merge(state.params, trunk), state.params)
        kinds = {kind: tree.like(names.branch(slots, kind), tree.pick(params, self._shared)) for kind in slots}
        return State(params, kinds, round(float(np.asarray(same["count"]))))

    def model(self, state: State, memory: Memory) -> Tree:
        return tree.merge(state.params, names.branch(memory, "head"))

    def _shared(self, path: str) -> bool:
        return names.belongs(path, self.trunk)


def _named(paths: Iterable[str], values: Sequence[Array]) -> Tree:
    return tree.unflatten({path: np.asarray(value) for path, value in zip(paths, values, strict=True)})
