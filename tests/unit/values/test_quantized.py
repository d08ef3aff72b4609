"""Levels of 8 bits as the floats that they stand for, and what is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.values import tree
from comity.values.errors import DecodeError
from comity.values.quantized import blocks, numbers, restored

SIZE = 600


def parts(seed=0):
    generator = np.random.default_rng(seed)
    levels = generator.integers(-127, 128, SIZE, np.int8)
    return levels, generator.random(blocks(SIZE), np.float32)


def test_each_block_has_its_scale():
    levels, scales = parts()
    by_hand = [float(scales[at // 256]) * int(level) for at, level in enumerate(levels)]
    assert numbers(levels, scales).tolist() == by_hand


@given(st.integers(0, SIZE), st.integers(0, SIZE))
def test_a_piece_is_that_of_the_whole(first, count):
    levels, scales = parts()
    assert numbers(levels[first : first + count], scales, first).tolist() == (
        numbers(levels, scales)[first : first + count].tolist()
    )


def test_a_contribution_is_put_together():
    levels, scales = parts()
    held = {
        "total": {"net": {"b": np.ones(2)}},
        "~levels": {"net": {"w": levels.reshape(20, 30)}},
        "~scales": {"net": {"w": scales}},
        "weight": np.array(3.0),
    }
    made = tree.flatten(restored(held))
    assert list(made) == ["net/b", "net/w"]
    assert made["net/w"].shape == (20, 30)
    assert made["net/w"].reshape(-1).tolist() == numbers(levels, scales).tolist()


LEVELS, SCALES = parts()


@pytest.mark.parametrize(
    ("held", "match"),
    [
        ({"~levels": {"w": LEVELS}}, "levels without scales"),
        ({"~scales": {"w": SCALES}}, "levels without scales"),
        ({"~levels": {"w": LEVELS}, "~scales": {"w": SCALES}, "total": {"w": np.ones(2)}}, "is there twice"),
        ({"~levels": {"w": LEVELS}, "~scales": {"w": SCALES[:2]}}, r"scales of float32 \(3,\), not float32 \(2,\)"),
        ({"~levels": {"w": LEVELS}, "~scales": {"w": SCALES.astype(float)}}, r"not float64 \(3,\)"),
        ({"~levels": {"w": LEVELS.astype(np.int16)}, "~scales": {"w": SCALES}}, "levels are int8, not int16"),
        ({"~levels": {"w": np.full(3, -128, np.int8)}, "~scales": {"w": SCALES[:1]}}, "'w' holds the level -128"),
        ({"~levels": {"w": LEVELS}, "~scales": {"w": -SCALES}}, "'w' holds the scale -"),
    ],
)
def test_what_is_no_contribution_is_refused(held, match):
    with pytest.raises(DecodeError, match=match):
        restored(held)
