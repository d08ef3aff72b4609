"""What FedPer and FedBN share: some parameters are averaged, the others stay at the site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from comity.values import tree
from comity.values.contribution import Contribution
from comity.values.site import Site
from comity.values.strategy import Given, Memory
from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """The shared parameters; those that stay at the sites as they were at the start."""

    params: Tree


def model(state: State, memory: Memory) -> Tree:
    """The shared parameters with the site's own; the first ones for a site that was never drawn."""
    return tree.merge(state.params, memory)


def local(state: State, memory: Memory, site: Site, stays: Callable[[str], bool]) -> Given:
    """Train all, give what is shared, remember what stays."""
    start = model(state, memory)
    fit = site.fit(start)
    update = tree.pick(tree.sub(fit.params, start), lambda path: not stays(path))
    return Contribution(tree.scale(update, fit.rows), fit.rows), tree.pick(fit.params, stays)


def step(state: State, total: Contribution) -> State:
    """Move the shared parameters by the mean update, weighted by rows."""
    update = tree.flatten(total.mean())
    shared = tree.pick(state.params, lambda path: path in update)
    moved = tree.like(tree.add(shared, tree.unflatten(update)), shared)
    return State(tree.merge(state.params, moved))
