"""Trees of arrays: nested dictionaries whose leaves are numpy arrays.

Parameters, states, memories and contributions are all trees. Every function here is pure: it makes
new leaves (or shares leaves that it does not change) and never writes into those it was given. A
leaf's path is its keys joined by `/`, so no key may hold one; an empty branch holds nothing and is
the same as no branch. Leaves are visited in the order of their paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from comity.values.errors import InvalidInput, a

Array: TypeAlias = NDArray[Any]
Tree: TypeAlias = Mapping[str, Union[Array, "Tree"]]

SEPARATOR = "/"

PIECE = 1 << 16
"""Numbers that are looked at at a time."""


def flatten(tree: Tree) -> dict[str, Array]:
    """The leaves by path, in the order of their paths.

    >>> list(flatten({"net": {"w": np.zeros(2), "b": np.zeros(1)}}))
    ['net/b', 'net/w']
    """
    leaves = sorted(_walk(tree, ""), key=itemgetter(0))
    made = dict(leaves)
    if len(made) != len(leaves):
        raise InvalidInput("two leaves of a tree have the same path; no key may hold a slash")
    return made


def _walk(tree: Tree, prefix: str) -> Iterator[tuple[str, Array]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{key}{SEPARATOR}")
        else:
            yield prefix + key, value


def unflatten(leaves: Mapping[str, Array]) -> Tree:
    """The tree whose leaves have these paths; raises InvalidInput when a path is a leaf and a branch."""
    root: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *branches, last = path.split(SEPARATOR)
        node = root
        for key in branches:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise InvalidInput(f"{path!r} lies below {key!r}, which is itself an array")
        if last in node:
            raise InvalidInput(f"{path!r} is both an array and a branch")
        node[last] = leaf
    return root


def map(function: Callable[..., Array], tree: Tree, *others: Tree) -> Tree:
    """A tree of `function(leaf, ...)` over leaves at the same path in every tree.

    Raises InvalidInput when the trees do not have the same paths.

    >>> map(np.add, {"w": np.ones(2)}, {"w": np.ones(2)})
    {'w': array([2., 2.])}
    """
    for other in others:
        same_paths(tree, other)
    return _map(function, tree, others)


def _map(function: Callable[..., Array], tree: Tree, others: tuple[Tree, ...]) -> Tree:
    made: dict[str, Array | Tree] = {}
    for key, value in tree.items():
        beside: tuple[Any, ...] = tuple(other.get(key, {}) for other in others)
        # numpy's arithmetic turns an array without axes into a scalar, which is no leaf
        made[key] = (
            _map(function, value, beside) if isinstance(value, Mapping) else np.asarray(function(value, *beside))
        )
    return made


def same_paths(first: Tree, second: Tree) -> None:
    """Raises InvalidInput, naming the difference, unless both trees have leaves at the same paths."""
    left, right = flatten(first).keys(), flatten(second).keys()
    if left != right:
        missing, extra = sorted(left - right)[:3], sorted(right - left)[:3]
        raise InvalidInput(f"two trees differ: only the first has {missing}, only the second has {extra}")


def read_only(tree: Tree) -> Tree:
    """The same leaves, but none can be written into; for handing a tree to a user's code."""

    def view(leaf: Array) -> Array:
        made = np.asarray(leaf).view()
        made.flags.writeable = False
        return made

    return map(view, tree)


def like(tree: Tree, example: Tree) -> Tree:
    """The tree with each leaf rounded once to the dtype of the leaf at the same path in `example`.

    Raises InvalidInput when paths or shapes differ.
    """

    def cast(leaf: Array, model: Array) -> Array:
        if leaf.shape != model.shape:
            raise InvalidInput(f"a leaf has shape {leaf.shape} where {model.shape} belongs")
        return np.asarray(leaf).astype(model.dtype, copy=False)

    return map(cast, tree, example)


def add(first: Tree, second: Tree) -> Tree:
    """Leaf by leaf, `first + second`."""
    return map(lambda a, b: a + b, first, second)


def sub(first: Tree, second: Tree) -> Tree:
    """Leaf by leaf, `first - second`."""
    return map(lambda a, b: a - b, first, second)


def scale(tree: Tree, factor: float) -> Tree:
    """Leaf by leaf, `factor * leaf`; floats keep their dtype, integers become float64."""
    factor = float(factor)
    return map(lambda leaf: leaf * factor, tree)


def axpy(factor: float, first: Tree, second: Tree) -> Tree:
    """Leaf by leaf, `factor * first + second`."""
    factor = float(factor)
    return map(lambda a, b: factor * a + b, first, second)


def zeros_like(tree: Tree, dtype: Any = None) -> Tree:
    """A tree of zeros of the same shapes; of the same dtypes unless one is given."""
    return map(lambda leaf: np.zeros(leaf.shape, dtype or leaf.dtype), tree)


def cast(tree: Tree, dtype: Any) -> Tree:
    """Every leaf as `dtype`; leaves that already are, are shared."""
    return map(lambda leaf: leaf.astype(dtype, copy=False), tree)


def dot(first: Tree, second: Tree) -> float:
    """The inner product over all leaves, in float64."""
    left, right = flatten(first), flatten(second)
    same_paths(first, second)
    return math.fsum(float(np.vdot(left[p].astype(np.float64), right[p].astype(np.float64))) for p in left)


def norm(tree: Tree) -> float:
    """The Euclidean norm over all leaves, in float64."""
    return math.sqrt(dot(tree, tree))


def size(tree: Tree) -> int:
    """How many numbers the tree holds."""
    return sum(leaf.size for leaf in flatten(tree).values())


def nbytes(tree: Tree) -> int:
    """How many bytes the leaves take."""
    return sum(leaf.nbytes for leaf in flatten(tree).values())


def pick(tree: Tree, keep: Callable[[str], bool]) -> Tree:
    """The leaves whose path `keep` accepts, with their branches.

    >>> pick({"trunk.w": np.zeros(1), "head.w": np.zeros(1)}, lambda path: path.startswith("head"))
    {'head.w': array([0.])}
    """
    return unflatten({path: leaf for path, leaf in flatten(tree).items() if keep(path)})


def merge(under: Tree, over: Tree) -> Tree:
    """All leaves of both; where both have a path, the leaf of `over`."""
    return unflatten({**flatten(under), **flatten(over)})


def check(tree: Tree, what: str) -> None:
    """Raises InvalidInput, naming the leaf, unless this is a well-formed tree of finite numbers.

    What a user's code made is checked here, once, where it enters.
    """
    _check_names(tree, what)
    for path, leaf in _walk(tree, ""):
        if not isinstance(leaf, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"{what}: {path!r} is {a(leaf)}; every leaf must be a numpy array")
        if leaf.dtype.kind not in "biuf" or leaf.dtype.itemsize > 8:
            raise InvalidInput(f"{what}: {path!r} has dtype {leaf.dtype}; use booleans, integers or floats")
        if leaf.dtype.kind == "f" and not finite(leaf):
            raise InvalidInput(f"{what}: {path!r} is not finite; lower the learning rate or check the data")


def finite(floats: Array) -> bool:
    """Whether all are; looks at some at a time, so that little memory is taken for what is mapped of a large file."""
    flat = floats.ravel("K")
    return all(np.isfinite(flat[first : first + PIECE]).all() for first in range(0, flat.size, PIECE))


def _check_names(tree: Tree, what: str) -> None:
    for key, value in tree.items():
        if not isinstance(key, str) or not key or SEPARATOR in key:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"{what}: {key!r} names a part; names are text, not empty and without a slash")
        if isinstance(value, Mapping):
            _check_names(value, what)
