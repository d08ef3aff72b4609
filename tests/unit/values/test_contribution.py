"""Contributions and their sum."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.values import tree
from comity.values.contribution import Contribution, gather
from comity.values.errors import InvalidInput

parts = st.lists(
    st.builds(
        lambda a, b, n: Contribution({"a": np.array(a), "b": {"c": np.array([b])}}, n),
        st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3),
        st.integers(-(10**12), 10**12),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=6,
)


def leaf(part: Contribution, path: str) -> np.ndarray:
    return tree.flatten(part.total)[path]


@given(parts, st.data())
def test_addition_is_associative_and_commutative_up_to_rounding(
    given_: list[Contribution], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(given_)))
    groups = [gather(group) for group in (given_[:cut], given_[cut:]) if group]
    shuffled = data.draw(st.permutations(given_))
    whole = gather(given_)
    size = sum(np.abs(leaf(part, "a")) for part in given_)
    for other in (gather(groups), gather(shuffled)):
        assert (np.abs(leaf(other, "a") - leaf(whole, "a")) <= 1e-14 * size).all()
        assert np.array_equal(leaf(other, "b/c"), leaf(whole, "b/c"))
        assert other.weight == whole.weight


def test_a_sum_of_many_float32_parts_is_kept_in_float64() -> None:
    tenth = np.float32(0.1)
    total = gather(Contribution({"w": np.full(3, tenth)}, 1) for _ in range(100_000))
    exact = float(100_000 * Fraction(float(tenth)))
    assert leaf(total, "w").dtype == np.float64
    assert leaf(total, "w") == pytest.approx(exact, rel=1e-12)
    in_float32 = np.add.accumulate(np.full(100_000, tenth))[-1]
    assert abs(float(in_float32) - exact) > 1e-4 * exact  # what the test would not bear


def test_the_order_given_decides_the_last_bit_and_nothing_else() -> None:
    values = np.random.default_rng(0).normal(size=50)
    expected = 0.0
    for value in values:
        expected += value
    assert leaf(gather(Contribution({"w": np.array([v])}, 1) for v in values), "w")[0] == expected


def test_integers_and_booleans_are_added_exactly() -> None:
    total = gather([Contribution({"n": np.array([2**53 + 1]), "on": np.array([True])}, 1)] * 3)
    assert leaf(total, "n").tolist() == [3 * (2**53 + 1)]
    assert leaf(total, "on").tolist() == [3]
    small = gather([Contribution({"n": np.array([250], np.uint8)}, 1)] * 3)
    assert leaf(small, "n").tolist() == [750]
    unsigned = gather([Contribution({"n": np.array([2**40], np.uint64)}, 1)] * 2)
    assert leaf(unsigned, "n").tolist() == [2**41]


def test_arrays_without_axes_are_added() -> None:
    part = Contribution({"loss": np.array(0.5)}, 2)
    assert leaf(part + part, "loss") == 1.0
    assert (part + part).weight == 4


def test_parts_are_not_changed() -> None:
    part = Contribution({"w": np.ones(2)}, 1)
    gather([part, part, part])
    assert leaf(part, "w").tolist() == [1, 1]


def test_the_mean_divides_by_the_weight() -> None:
    total = Contribution({"w": np.array([2.0, 4.0])}, 1) + Contribution({"w": np.array([4.0, 8.0])}, 3)
    assert np.asarray(total.mean()["w"]).tolist() == [1.5, 3.0]
    with pytest.raises(InvalidInput, match="no mean"):
        Contribution({"w": np.ones(1)}, 0).mean()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"a": np.ones(1)}, {"b": np.ones(1)}, r"\['a', 'b'\]"),
        ({"a": np.ones(1)}, {"a": np.ones(2)}, r"shape of 'a': \(1,\) and \(2,\)"),
        ({"a": np.ones(1)}, {"a": np.ones(())}, "shape of 'a'"),
        ({"a": np.ones(1)}, {"a": np.ones(1, int)}, "some hold integers"),
        ({"a": np.ones(1, int)}, {"a": np.ones(1)}, "some hold integers"),
    ],
)
def test_parts_that_differ_are_refused(first: tree.Tree, second: tree.Tree, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Contribution(first, 1) + Contribution(second, 1)


def test_no_part_has_no_sum() -> None:
    with pytest.raises(InvalidInput, match="no site contributed"):
        gather([])


def test_a_part_that_is_no_array_is_refused() -> None:
    with pytest.raises(InvalidInput, match="a contribution holds a float"):
        gather([Contribution({"a": 1.0}, 1)])  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("weight", [-1, math.inf, math.nan, "1", None])
def test_a_weight_is_finite_and_not_negative(weight: Any) -> None:
    with pytest.raises(InvalidInput, match="finite and not negative"):
        Contribution({}, weight)
