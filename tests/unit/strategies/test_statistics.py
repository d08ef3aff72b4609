"""Statistics against pandas on the pooled rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_wine

from comity.strategies.statistics import Statistics
from comity.values.rows import Rows


@pytest.mark.parametrize("load", [load_diabetes, load_wine])
def test_every_figure_is_that_of_pandas(load, analyze, dealt):
    data = load(scaled=False) if load is load_diabetes else load()
    x = np.where(np.random.default_rng(0).random(data.data.shape) < 0.1, np.nan, data.data)
    frame = pd.DataFrame(x, columns=data.feature_names)
    strategy = Statistics()
    table = strategy.table(analyze(strategy, *dealt(Rows(x, columns=tuple(data.feature_names)))))
    for name, expected in {
        "count": frame.count(),
        "missing": frame.isna().sum(),
        "mean": frame.mean(),
        "variance": frame.var(),
        "sd": frame.std(),
        "skewness": frame.skew(),
        "kurtosis": frame.kurt(),
    }.items():
        np.testing.assert_allclose(table.column(name), expected, rtol=1e-10, atol=1e-12, err_msg=name)


def test_a_large_offset_costs_no_digits(analyze):
    """Variance 1 by hand: of -1, 0, 1 about a billion. The sums of squares alone would lose it."""
    strategy = Statistics()
    table = strategy.table(analyze(strategy, Rows(np.array([[1e9 - 1], [1e9]])), Rows(np.array([[1e9 + 1]]))))
    assert table.column("mean") == [1e9]
    assert table.column("variance") == [1.0]


def test_values_whose_powers_vanish_have_no_skewness_and_x_may_have_no_columns(analyze):
    strategy = Statistics()
    tiny = strategy.table(analyze(strategy, Rows(np.array([[1e-100], [2e-100], [4e-100], [5e-100]]))))
    assert tiny.column("skewness") == tiny.column("kurtosis") == [None]
    assert strategy.table(analyze(strategy, Rows(np.zeros((3, 0))))).rows == ()


def test_figures_that_do_not_exist_are_empty_cells(analyze):
    x = np.array([[0.1, 1.0, np.nan], [0.1, np.nan, np.nan], [0.1, np.nan, np.nan], [0.1, np.nan, np.nan]])
    strategy = Statistics()
    table = strategy.table(analyze(strategy, Rows(x, columns=("constant", "one", "none"))))
    assert table.rows[0] == ("constant", 4, 0, 0.1, 0.0, 0.0, None, None)
    assert table.rows[1] == ("one", 1, 3, 1.0, None, None, None, None)
    assert table.rows[2] == ("none", 0, 4, None, None, None, None, None)
