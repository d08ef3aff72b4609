"""Records to trees and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.values import codec, tree
from comity.values.errors import InvalidInput
from comity.values.record import from_tree, to_tree
from comity.values.tree import Array, Tree


@dataclass(frozen=True)
class State:
    params: Tree
    velocity: Tree
    hessian: Array | None
    round: int
    loss: float
    done: bool
    best: float | None = None


@given(
    round=st.integers(-(2**63), 2**63 - 1),
    loss=st.floats(allow_nan=False, allow_infinity=False),
    done=st.booleans(),
    best=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    hessian=st.booleans(),
)
def test_a_record_comes_back_bit_for_bit_through_bytes(
    round: int, loss: float, done: bool, best: float | None, hessian: bool
) -> None:
    params = {"net": {"w": np.array([0.1, 0.2], np.float32)}, "n": np.array(3)}
    state = State(params, {}, np.eye(2) / 3 if hessian else None, round, loss, done, best)
    back = from_tree(State, codec.decode(codec.encode(to_tree(state))))
    assert codec.encode(to_tree(back)) == codec.encode(to_tree(state))
    assert (back.round, back.done, back.best, back.velocity) == (round, done, best, {})
    assert (type(back.round), type(back.loss), type(back.done)) == (int, float, bool)
    assert np.float64(back.loss).tobytes() == np.float64(loss).tobytes()
    assert (back.hessian is None) != hessian


def test_numbers_become_arrays_without_axes_and_none_is_left_out() -> None:
    made = tree.flatten(to_tree(State({}, {}, None, 3, 0.5, True)))
    assert {path: (leaf.shape, str(leaf.dtype)) for path, leaf in made.items()} == {
        "round": ((), "int64"),
        "loss": ((), "float64"),
        "done": ((), "bool"),
    }


STORED = to_tree(State({"w": np.ones(1)}, {}, None, 1, 0.5, False))


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({**STORED, "momentum": np.ones(1)}, "no field 'momentum'"),
        ({"params": {}}, "State.round is missing"),
        ({**STORED, "params": np.ones(1)}, "State.params should be Tree"),
        ({**STORED, "hessian": {"a": np.ones(1)}}, "State.hessian should be Array"),
        ({**STORED, "round": np.ones(2, int)}, r"shape \(2,\)"),
        ({**STORED, "round": np.array(1.5)}, "float64"),
        ({**STORED, "done": np.array(2)}, "int64"),
    ],
)
def test_what_does_not_fit_is_refused(stored: Tree, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        from_tree(State, stored)


def test_only_trees_arrays_and_numbers_can_be_stored() -> None:
    @dataclass(frozen=True)
    class Named:
        name: str

    with pytest.raises(InvalidInput, match=r"Named.name is a str"):
        to_tree(Named("a"))
    with pytest.raises(InvalidInput, match=r"Named.name is declared str"):
        from_tree(Named, {})


def test_an_integer_beyond_64_bits_is_refused() -> None:
    with pytest.raises(InvalidInput, match="64 bits"):
        to_tree(State({}, {}, None, 2**63, 0.0, False))
