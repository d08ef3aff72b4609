"""Quantiles against numpy's inverted distribution function on the pooled rows."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_wine

from comity.strategies.quantiles import Quantiles
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.strategy import Network

Q = (0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 0.95, 1.0)


@pytest.mark.parametrize("x", [load_wine().data, load_diabetes().data], ids=["wine", "diabetes"])
def test_every_quantile_is_a_value_of_the_data_to_its_last_bit(x, analyze, dealt):
    state = analyze(Quantiles(Q), *dealt(Rows(x)))
    expected = np.quantile(x, Q, axis=0, method="inverted_cdf").T
    np.testing.assert_array_equal(Quantiles(Q).model(state, {})["quantiles"], expected)
    assert state.round == 8


@settings(derandomize=True, max_examples=50, deadline=None)
@example([5.486124068793689e303], 0.0)
@example([-1.7976931348623157e308, 0.0, 5e-324], 0.5)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20), st.floats(0, 1))
def test_it_is_the_smallest_value_that_q_n_values_do_not_exceed(values, q):
    strategy, site = Quantiles((q,)), Site("A", np.array(values)[:, None])
    state = strategy.init({}, Network(1))
    while not strategy.finished(state):
        state = strategy.step(state, strategy.local(state, {}, site)[0])
    enough = [value for value in values if sum(other <= value for other in values) >= q * len(values) - 1e-9]
    assert strategy.model(state, {})["quantiles"].tolist() == [[min(enough)]]


def test_a_tolerance_is_kept_and_saves_rounds(analyze, dealt):
    x = load_wine().data
    state = analyze(Quantiles(tolerance=0.01), *dealt(Rows(x)))
    expected = np.quantile(x, (0.25, 0.5, 0.75), axis=0, method="inverted_cdf").T
    assert state.round < 8
    np.testing.assert_allclose(Quantiles().model(state, {})["quantiles"], expected, rtol=0, atol=0.005)


def test_a_tenth_of_thirty_values_is_the_third(analyze):
    """0.1 * 30 is 3.0000000000000004 in floats."""
    state = analyze(Quantiles((0.1,)), Rows(np.arange(1.0, 31.0)[:, None]))
    assert Quantiles((0.1,)).table(state).column("0.1") == [3.0]


def test_missing_values_do_not_count(analyze):
    x = np.array([[np.nan, np.nan], [2.0, np.nan], [-1.0, np.nan]])
    state = analyze(Quantiles((0.5, 1.0)), Rows(x[:2]), Rows(x[2:]))
    assert [list(row) for row in Quantiles((0.5, 1.0)).table(state).rows] == [
        ["x0", 2, -1.0, 2.0],
        ["x1", 0, None, None],
    ]


@pytest.mark.parametrize(
    "fields",
    [{"q": ()}, {"q": (1.5,)}, {"q": 0.5}, {"q": "0.5"}, {"tolerance": -1.0}, {"tolerance": float("nan")}],
)
def test_settings_without_meaning_are_refused(fields):
    with pytest.raises(InvalidInput, match=r"q must|tolerance"):
        Quantiles(**fields)
