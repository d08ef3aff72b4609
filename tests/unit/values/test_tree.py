"""Trees of arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.values import tree
from comity.values.errors import InvalidInput

NET = {"net": {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([0.5])}, "scale": np.array(2.0)}

leaves = st.lists(st.floats(-1e6, 1e6), max_size=3).map(np.array)
trees = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), leaves, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), st.one_of(leaves, inner), max_size=3),
    max_leaves=6,
)


def equal(first: tree.Tree, second: tree.Tree) -> bool:
    left, right = tree.flatten(first), tree.flatten(second)
    return left.keys() == right.keys() and all(np.array_equal(left[path], right[path]) for path in left)


@given(trees)
def test_unflatten_undoes_flatten(made: tree.Tree) -> None:
    assert equal(tree.unflatten(tree.flatten(made)), made)
    assert list(tree.flatten(made)) == sorted(tree.flatten(made))


@given(trees)
def test_arithmetic_is_that_of_vectors(made: tree.Tree) -> None:
    zero = tree.zeros_like(made)
    assert equal(tree.add(made, zero), made)
    assert equal(tree.sub(made, made), zero)
    assert equal(tree.scale(made, 2), tree.add(made, made))
    assert equal(tree.axpy(-1, made, made), zero)
    assert tree.dot(made, made) == pytest.approx(tree.norm(made) ** 2, rel=1e-12)
    assert tree.size(made) * 8 == tree.nbytes(made)


def test_numbers_by_hand() -> None:
    assert tree.size(NET) == 6
    assert tree.norm(NET) == pytest.approx(math.sqrt(1 + 4 + 9 + 16 + 0.25 + 4))
    assert tree.dot(NET, tree.scale(NET, -2)) == pytest.approx(-2 * 34.25)
    assert equal(tree.axpy(0.5, {"w": np.array([2.0])}, {"w": np.array([1.0])}), {"w": np.array([2.0])})


def test_arithmetic_keeps_the_dtype_of_floats_whatever_the_factor() -> None:
    half = {"w": np.ones(2, np.float16), "b": np.ones((), np.float32)}
    for made in (tree.scale(half, np.float64(3)), tree.axpy(2, half, half), tree.sub(half, half)):
        assert {path: leaf.dtype for path, leaf in tree.flatten(made).items()} == {"w": np.float16, "b": np.float32}


def test_a_leaf_without_axes_stays_an_array() -> None:
    for made in (tree.scale(NET, 2), tree.add(NET, NET), tree.like(tree.cast(NET, np.float32), NET)):
        assert isinstance(made["scale"], np.ndarray)
        tree.check(made, "a sum")


def test_an_empty_branch_is_no_branch() -> None:
    assert equal(tree.add({"w": np.ones(1), "none": {}}, {"w": np.ones(1)}), {"w": np.full(1, 2.0)})
    assert equal(tree.add({"w": np.ones(1)}, {"w": np.ones(1), "none": {"more": {}}}), {"w": np.full(1, 2.0)})
    tree.same_paths({"a": {}}, {})


def test_nothing_given_is_changed() -> None:
    before = {path: leaf.copy() for path, leaf in tree.flatten(NET).items()}
    tree.add(NET, NET), tree.scale(NET, 3), tree.axpy(2, NET, NET), tree.merge(NET, NET), tree.cast(NET, np.float32)
    assert equal(NET, tree.unflatten(before))


def test_like_rounds_once_and_checks_shapes() -> None:
    rounded = tree.like({"w": np.array([0.1])}, {"w": np.zeros(1, np.float32)})
    assert np.asarray(rounded["w"]).tolist() == [float(np.float32(0.1))]
    with pytest.raises(InvalidInput, match=r"shape \(2,\) where \(1,\) belongs"):
        tree.like({"w": np.zeros(2)}, {"w": np.zeros(1)})


def test_dot_is_taken_in_float64() -> None:
    # in float32 the ones would vanish beside 1e8
    made = {"a": np.array([1e4], np.float32), "b": np.ones(3, np.float32)}
    assert tree.dot(made, made) == 1e8 + 3


def test_pick_and_merge_take_a_tree_apart_and_put_it_together() -> None:
    head, trunk = tree.pick(NET, lambda p: p.startswith("net")), tree.pick(NET, lambda p: not p.startswith("net"))
    assert equal(tree.merge(head, trunk), NET)
    assert equal(tree.merge(NET, {"scale": np.array(9.0)}), {**NET, "scale": np.array(9.0)})


def test_trees_that_differ_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"only the first has \['a'\], only the second has \['b/c'\]"):
        tree.add({"a": np.ones(1)}, {"b": {"c": np.ones(1)}})


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_path_cannot_be_an_array_and_a_branch(paths: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput):
        tree.unflatten({path: np.ones(1) for path in paths})


def test_two_leaves_cannot_have_one_path() -> None:
    with pytest.raises(InvalidInput, match="same path"):
        tree.flatten({"a/b": np.ones(2), "a": {"b": np.ones(2)}})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"w": [1.0]}, "'w' is a list"),
        ({"n": {"w": np.float64(1)}}, "'n/w' is a float64"),
        ({"w": np.array([np.inf])}, "'w' is not finite"),
        ({"w": np.array([np.nan], np.float16)}, "'w' is not finite"),
        ({"w": np.array(["a"])}, "dtype <U1"),
        ({"w": np.array([None])}, "dtype object"),
        ({"w": np.zeros(1, np.longdouble)}, "dtype"),
        ({"": np.zeros(1)}, "names a part"),
    ],
)
def test_check_names_what_is_wrong(made: tree.Tree, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        tree.check(made, "the update")
