"""Rounding to bfloat16, beside torch's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comity.values.bfloat16 import halves, rounded, whole
from comity.values.errors import InvalidInput


def by_torch(floats):
    return torch.tensor(floats).to(torch.bfloat16).float().numpy()


def test_it_is_torchs_for_numbers_of_every_size():
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, np.uint32)
    floats = bits.view(np.float32)
    floats = floats[np.isfinite(by_torch(floats))]
    assert rounded(floats).tobytes() == by_torch(floats).tobytes()
    assert whole(halves(rounded(floats))).tobytes() == rounded(floats).tobytes()


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        (1 + 2.0**-8, 1.0),  # in the middle: the even one
        (1 + 3 * 2.0**-8, 1 + 2.0**-6),
        (1 + 2.0**-8 + 2.0**-23, 1 + 2.0**-7),
        (-(1 + 3 * 2.0**-8), -(1 + 2.0**-6)),
        (0.0, 0.0),
        (2.0**-133, 2.0**-133),  # the least there is
        (2.0**-135, 0.0),
    ],
)
def test_by_hand(given, nearest):
    assert rounded(np.array([given])).tolist() == [nearest]


@given(st.floats(-1e38, 1e38).filter(lambda x: abs(x) > 2.0**-126))
def test_it_is_off_by_one_part_in_256_at_most(x):
    assert abs(float(rounded(np.array(x))) - x) <= abs(x) * 2.0**-8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39, 3.4e38])
def test_what_has_no_nearest_is_refused(bad):
    with pytest.raises(InvalidInput, match="not finite, or too large"):
        rounded(np.array([0.0, bad]))


def test_shape_and_layout_are_kept():
    given = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert rounded(given).tolist() == given.tolist()
    assert rounded(np.asarray(2.0)).shape == ()
    assert rounded(np.zeros((0, 3))).shape == (0, 3)
