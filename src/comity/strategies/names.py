"""Parts of a tree by name, and which parameters a strategy treats apart.

A name is a leaf's path: layers and parameters joined by `.` (torch) or `/` (nested trees).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from comity.values import tree
from comity.values.errors import InvalidInput, unknown
from comity.values.tree import Tree


def belongs(path: str, layers: Sequence[str]) -> bool:
    """Whether the path is one of these layers or parameters, or lies within one.

    >>> belongs("head.weight", ["head"]), belongs("header.weight", ["head"])
    (True, False)
    """
    return any(path == layer or path.startswith((f"{layer}.", f"{layer}/")) for layer in layers)


def named(field: str, layers: Sequence[str]) -> tuple[str, ...]:
    """The layers of a strategy's field; raises InvalidInput for a bare text and for none at all."""
    if isinstance(layers, str) or not layers or not all(isinstance(layer, str) and layer for layer in layers):
        raise InvalidInput(f"{field} must be a tuple of layer names such as ('head',), not {layers!r}")
    return tuple(layers)


def check_split(layers: Sequence[str], params: Tree) -> None:
    """Raises InvalidInput unless every layer is in the model and the layers are not the whole model."""
    paths = list(tree.flatten(params))
    for layer in layers:
        if not any(belongs(path, [layer]) for path in paths):
            raise unknown("layer or parameter", layer, paths)
    if all(belongs(path, layers) for path in paths):
        raise InvalidInput(f"{', '.join(layers)} is the whole model; name only a part of it")


def branch(whole: Tree, name: str) -> Tree:
    """The tree under this name; {} when there is none, as an empty branch is not stored."""
    found = whole.get(name, {})
    if not isinstance(found, Mapping):
        raise InvalidInput(f"{name!r} is an array where a tree of arrays belongs; was this stored by another strategy?")
    return found


def is_statistic(path: str) -> bool:
    """Whether the leaf is a running statistic of batch norm: averaged, for no gradient moves it.

    >>> is_statistic("bn1.running_var"), is_statistic("bn1.weight")
    (True, False)
    """
    return path.endswith(("running_mean", "running_var"))


def moved(params: Tree, by: Tree, mean: Tree) -> Tree:
    """`params + by`, rounded once; running statistics by the sites' `mean` update instead.

    A server step longer than the mean could make a running variance negative.
    """
    return tree.like(tree.add(params, tree.merge(by, tree.pick(mean, is_statistic))), params)
