"""The laws of every compression. A new one is one row in ROWS."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comity as co
from comity.values import codec, quantized, tree
from comity.values.errors import InvalidInput, NotSupported
from comity.values.quantized import TOTAL


@dataclass(frozen=True)
class Row:
    compression: Any
    off: float
    """What a float is off by at most, as a part of the largest of its array."""
    bits: float
    """Of a float32, on its way."""


ROWS = {
    "BFloat16": Row(co.compression.BFloat16(), off=2.0**-8, bits=16),
    "QSGD": Row(co.compression.QSGD(), off=1 / 127 * (1 + 2.0**-16), bits=8.125),
    "QSGD without feedback": Row(co.compression.QSGD(error_feedback=False), off=1 / 127 * (1 + 2.0**-16), bits=8.125),
}

each = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)

TOTALS = st.builds(
    lambda seed, rows, scale, wide: {
        "net": {"w": scale * floats(seed, (rows, 32), wide), "b": scale * floats(seed + 1, (7,), wide)},
        "zeros": np.zeros(300, np.float32),
        "none": np.zeros((0, 3)),
        "count": np.arange(80),
        "on": np.array(True),
    },
    st.integers(0, 2**32),
    st.integers(2, 40),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e6]),
    st.booleans(),
)


def floats(seed, shape, wide):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float64 if wide else np.float32)


@each
@settings(max_examples=40, deadline=None)
@given(total=TOTALS, seed=st.integers(0, 2**62))
def test_what_is_read_is_near_what_was_given(row, total, seed):
    made = row.compression.compressed(total, seed)
    read = tree.flatten(made.total)
    for path, leaf in tree.flatten(total).items():
        assert read[path].shape == leaf.shape
        if leaf.dtype.kind != "f" or not leaf.size:
            assert read[path].tolist() == leaf.tolist()
        else:
            np.testing.assert_allclose(read[path], leaf, rtol=0, atol=row.off * 1.001 * np.abs(leaf).max())


@each
@settings(max_examples=40, deadline=None)
@given(total=TOTALS, seed=st.integers(0, 2**62))
def test_the_file_that_travels_reads_the_same_and_is_so_small(row, total, seed):
    made = row.compression.compressed(total, seed)
    data = codec.encode(made.arrays, made.as_bf16)
    read = tree.flatten(quantized.restored(codec.decode(data)))
    for path, leaf in tree.flatten(made.total).items():
        assert (read[path].dtype, read[path].tobytes()) == (leaf.dtype, leaf.tobytes())
    assert made.nbytes == len(data) - codec.header_size(data[:8])


@each
def test_it_is_pure(row):
    total = {"w": floats(0, (500,), wide=True)}
    kept = total["w"].copy()
    one, other = (row.compression.compressed(total, 7) for _ in range(2))
    assert codec.encode(one.arrays, one.as_bf16) == codec.encode(other.arrays, other.as_bf16)
    assert total["w"].tobytes() == kept.tobytes()


@each
def test_a_large_array_takes_so_few_bits(row):
    made = row.compression.compressed({"w": floats(0, (2**18,), wide=False)}, 0)
    assert 8 * made.nbytes / 2**18 == row.bits


@each
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_what_cannot_be_compressed_is_named(row, bad):
    total = {"w": np.ones(100), "v": np.full(100, bad)}
    with pytest.raises(InvalidInput, match=rf"contribution: '({TOTAL}/)?v' holds a number that is not finite, or too"):
        row.compression.compressed(total, 0)


@each
def test_an_experiment_with_it_is_written_and_read(row):
    made = experiment(row.compression)
    assert co.read_experiment(made.to_json()) == made
    assert made.digest != replace(made, compression=None).digest


def experiment(compression, **changes):
    settings = {
        "model": co.numpy.Linear(3, loss="logistic"),
        "train": co.Train(optimizer=co.SGD(lr=0.1), batch_size=4, steps=1),
        "strategy": co.FedAvg(),
    }
    return co.Experiment(compression=compression, **{**settings, **changes})


@each
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"privacy": [co.privacy.SecureSum()]}, r"as wide as the ring .* take SecureSum\(bits=16\)"),
        (
            {"strategy": co.strategies.Statistics(), "model": None, "train": None},
            "trains none: its sums are the result",
        ),
        ({"strategy": co.strategies.SharedTrunk(trunk=("weight",))}, "SharedTrunk sums many times within a round"),
    ],
)
def test_what_does_not_go_with_it_is_refused(row, changes, match):
    with pytest.raises(NotSupported, match=match):
        experiment(row.compression, **changes)


def test_anything_else_is_refused():
    with pytest.raises(InvalidInput, match=r"one such as co\.compression\.QSGD\(\), not 'bf16'"):
        experiment("bf16")
