"""Seeds and mini-batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.values.errors import InvalidInput
from comity.values.seed import batches, derive

names = st.lists(
    st.one_of(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x1f"), max_size=5), st.integers()),
    max_size=3,
)


@given(st.integers(), names)
def test_a_seed_has_63_bits_and_is_always_the_same(seed: int, used: list[str | int]) -> None:
    assert 0 <= derive(seed, *used) < 2**63
    assert derive(seed, *used) == derive(seed, *used)
    assert derive(seed, *used) != derive(seed, *used, "more")
    assert derive(seed, *used) != derive(seed + 1, *used)


def test_seeds_never_change() -> None:
    # sha256("42\x1fround\x1f1"), its first 8 bytes halved
    assert derive(42, "round", 1) == 8254249535223191080
    assert [batch.tolist() for batch in batches(5, 2, 3, seed=7)] == [[1, 0], [2, 4], [3]]


@given(rows=st.integers(1, 40), batch_size=st.integers(1, 50), passes=st.integers(1, 3), seed=st.integers(0, 2**63 - 1))
def test_every_pass_sees_every_row_once_in_a_fresh_order(rows: int, batch_size: int, passes: int, seed: int) -> None:
    steps = -(-rows // batch_size)
    made = list(batches(rows, batch_size, passes * steps, seed))
    for i in range(passes):
        seen = np.concatenate(made[i * steps : (i + 1) * steps])
        assert sorted(seen.tolist()) == list(range(rows))
    assert all(len(batch) <= batch_size for batch in made)


@given(rows=st.integers(1, 20), batch_size=st.integers(1, 20), steps=st.integers(0, 30), seed=st.integers(0, 100))
def test_there_are_as_many_batches_as_steps_and_more_steps_begin_alike(
    rows: int, batch_size: int, steps: int, seed: int
) -> None:
    made = [batch.tolist() for batch in batches(rows, batch_size, steps, seed)]
    assert len(made) == steps
    assert [batch.tolist() for batch in batches(rows, batch_size, steps + 2, seed)][:steps] == made


def test_passes_are_shuffled_differently() -> None:
    first, second = batches(1000, 1000, 2, seed=0)
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize(("rows", "batch_size"), [(0, 4), (4, 0), (-1, 1)])
def test_no_rows_or_no_batch_size_is_refused(rows: int, batch_size: int) -> None:
    with pytest.raises(InvalidInput, match="at least one row"):
        next(batches(rows, batch_size, 1, seed=0))
