"""Contributions made smaller on their way from a site to their sum."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import isgeneratorfunction
from typing import final

from comity.values import quantized, tree
from comity.values.errors import NotSupported
from comity.values.metric import Metric
from comity.values.quantized import TOTAL
from comity.values.strategy import SeesEach, Strategy
from comity.values.transform import Transform
from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class Compressed:
    """The total of a contribution as it travels."""

    arrays: Tree
    """`total`, and what else `comity.values.quantized` names."""
    as_bf16: frozenset[str] = frozenset()
    """Paths of those that travel as BF16, to which they are rounded."""

    @property
    def total(self) -> Tree:
        """What it is read as: its floats are those of a site but for the rounding."""
        return quantized.restored(self.arrays)

    @property
    def nbytes(self) -> int:
        """What the arrays take on their way, without their names."""
        leaves = tree.flatten(self.arrays).items()
        return sum(leaf.nbytes // (2 if path in self.as_bf16 else 1) for path, leaf in leaves)


class Compression(Transform):
    """A final frozen dataclass that rounds the floats of contributions in which a model is trained."""

    @property
    def feeds_back(self) -> bool:
        """Whether what a site's floats lose in a round is kept there, and added to them in the next."""
        return False

    @abstractmethod
    def compressed(self, total: Tree, seed: int) -> Compressed:
        """A contribution's total, smaller; raises InvalidInput, naming the array, for what cannot be.

        seed: of whatever is drawn.
        """

    def accepts(self, strategy: Strategy | SeesEach, metrics: Sequence[Metric]) -> None:
        """Raises NotSupported for a strategy that trains no model, or that sums many times within a round."""
        mine, name = type(self).__name__, type(strategy).__name__
        if not strategy.needs:
            raise NotSupported(f"{mine} rounds updates of a model, and {name} trains none: its sums are the result")
        if isgeneratorfunction(type(strategy).local):
            raise NotSupported(f"{name} sums many times within a round, which {mine} does not compress")


def plain(total: Tree) -> Compressed:
    """The total as it is."""
    return Compressed({TOTAL: total})
