"""What a site gives to a round: the only thing that leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import final
from urllib.parse import unquote

import numpy as np

from comity.values import tree
from comity.values.errors import InvalidInput, a
from comity.values.tree import Array, Tree

COLUMNS = "columns/"
"""Where a contribution of statistics carries its columns' names, each after its place, as `NUMBER NAME`."""


@final
@dataclass(frozen=True, slots=True)
class Contribution:
    """A tree of arrays and a weight. Contributions are added; dividing by the weight is `step`'s work.

    >>> a = Contribution({"update": np.array([2.0])}, weight=2)
    >>> (a + a).weight
    4.0
    """

    total: Tree
    """Already multiplied by the weight, where the strategy wants a weighted mean."""
    weight: float
    """Usually the number of rows; not negative and finite."""

    def __post_init__(self) -> None:
        if not (isinstance(self.weight, Real) and 0 <= self.weight < float("inf")):
            raise InvalidInput(f"a contribution's weight must be finite and not negative, not {self.weight!r}")
        object.__setattr__(self, "weight", float(self.weight))

    def __add__(self, other: Contribution) -> Contribution:
        """Both together. Floats are added in float64 and integers in int64; nothing is rounded here."""
        return gather((self, other))

    def mean(self) -> Tree:
        """The total divided by the weight, in float64; raises InvalidInput when the weight is zero."""
        if self.weight == 0:
            raise InvalidInput("the weights of this round add up to zero, so there is no mean; give sites with rows")
        return tree.map(lambda leaf: leaf / self.weight, self.total)


def gather(parts: Iterable[Contribution]) -> Contribution:
    """The sum of contributions, added one after the other in the order given.

    Memory is one accumulator and one part, whatever the number of parts. The accumulator is float64
    (int64 for integers), so the order given is the only thing the result's last bit depends on.
    Raises InvalidInput when there is no part or when the parts' trees differ.
    """
    total: dict[str, Array] | None = None
    weight = 0.0
    for part in parts:
        if not isinstance(part, Contribution):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"{a(part)} cannot be added; a site gives a co.Contribution(tree, weight)")
        leaves = tree.flatten(part.total)
        if total is None:
            total = {path: np.array(leaf, _wide(leaf)) for path, leaf in leaves.items()}
        else:
            _add_in_place(total, leaves)
        weight += part.weight
    if total is None:
        raise InvalidInput("there is nothing to add: no site contributed")
    return Contribution(tree.unflatten(total), weight)


def same_leaves(
    one: Mapping[str, tuple[type, tuple[int, ...]]], other: Mapping[str, tuple[type, tuple[int, ...]]]
) -> None:
    """Raise InvalidInput unless both have the same paths, each with the same kind of number and the same shape."""
    if odd := sorted(one.keys() ^ other.keys()):
        if all(path.startswith((COLUMNS, f"total/{COLUMNS}")) for path in odd):
            names = ", ".join(dict.fromkeys(repr(unquote(path.partition(" ")[2])) for path in odd[:8]))
            raise InvalidInput(f"the sites' columns differ, by name or in order: {names}; give all the same columns")
        raise InvalidInput(
            f"contributions differ in their arrays: only some sites have {odd[:4]}; let all have the same"
        )
    for path, (kind, shape) in other.items():
        if one[path][0] is not kind:
            raise InvalidInput(f"contributions differ in {path!r}: some hold integers and some hold floats")
        if one[path][1] != shape:
            raise InvalidInput(f"contributions differ in the shape of {path!r}: {one[path][1]} and {shape}")


def _add_in_place(total: dict[str, Array], leaves: dict[str, Array]) -> None:
    same_leaves(
        {path: (_wide(leaf), leaf.shape) for path, leaf in total.items()},
        {path: (_wide(leaf), leaf.shape) for path, leaf in leaves.items()},
    )
    for path, leaf in leaves.items():
        np.add(total[path], leaf, out=total[path], dtype=total[path].dtype, casting="same_kind")


def _wide(leaf: Array) -> type:
    if not isinstance(leaf, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"a contribution holds {a(leaf)}; every leaf must be a numpy array")
    return np.float64 if leaf.dtype.kind == "f" else np.int64
