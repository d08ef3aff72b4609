"""Histograms against numpy on the pooled rows."""

import numpy as np
import pytest
from sklearn.datasets import load_wine

from comity.strategies.histogram import Histogram
from comity.values.errors import InvalidInput
from comity.values.rows import Rows


def test_counts_are_those_of_numpy(analyze, dealt):
    x = load_wine().data
    edges = (0, 1, 2, 2.5, 13, 100)
    state = analyze(Histogram(edges), *dealt(Rows(x)))
    np.testing.assert_array_equal(state.counts, [np.histogram(column, edges)[0] for column in x.T])


def test_every_row_is_counted_once_and_the_last_edge_belongs_to_its_bin(analyze):
    x = np.array([[-1.0], [0.0], [1.0], [2.0], [2.1], [np.nan]])
    table = Histogram((0, 1, 2)).table(analyze(Histogram((0, 1, 2)), Rows(x[:3]), Rows(x[3:])))
    assert table.column("count") == [1, 1, 2, 1, 1]
    assert table.rows[0] == ("x0", None, 0.0, 1)
    assert table.rows[-1] == ("x0", None, None, 1)


def test_named_columns_only_and_a_misspelt_one_is_refused(analyze):
    rows = Rows(np.array([[1.0, 5.0]]), columns=("age", "weight"))
    assert Histogram((4, 6), columns=("weight",)).model(analyze(Histogram((4, 6), columns=("weight",)), rows), {})[
        "counts"
    ].tolist() == [[1]]
    with pytest.raises(InvalidInput, match=r"must be a tuple of names such as .*, not 'age'"):
        Histogram((4, 6), columns="age")
    with pytest.raises(InvalidInput, match="did you mean 'weight'"):
        analyze(Histogram((4, 6), columns=("wieght",)), rows)


@pytest.mark.parametrize("edges", [(), (1,), (1, 1), (2, 1), (0, float("inf")), 10, "01"])
def test_edges_must_rise(edges):
    with pytest.raises(InvalidInput, match="edges"):
        Histogram(edges)
