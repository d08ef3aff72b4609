"""Principal components against scikit-learn on the pooled rows."""

import numpy as np
import pytest
import sklearn.decomposition
from sklearn.datasets import load_breast_cancer, load_diabetes

from comity.strategies.pca import PCA
from comity.values.errors import InvalidInput
from comity.values.rows import Rows


@pytest.mark.parametrize("x", [load_diabetes().data, load_breast_cancer().data], ids=["diabetes", "breast cancer"])
def test_components_variances_and_coordinates_are_those_of_scikit_learn(x, analyze, dealt):
    k = 6
    reference = sklearn.decomposition.PCA(k, svd_solver="full").fit(x)
    found = PCA(k).model(analyze(PCA(k), *dealt(Rows(x))), {})
    np.testing.assert_allclose(found["mean"], reference.mean_, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found["components"], reference.components_, atol=1e-8)
    np.testing.assert_allclose(found["variance"], reference.explained_variance_, rtol=1e-8)
    np.testing.assert_allclose(found["ratio"], reference.explained_variance_ratio_, rtol=1e-8)
    np.testing.assert_allclose(PCA(k).predict(found, x), reference.transform(x), rtol=1e-6, atol=1e-6)


def test_the_table_adds_up_and_shows_the_loadings(analyze, dealt):
    x = load_diabetes().data
    table = PCA(10).table(analyze(PCA(10), *dealt(Rows(x))))
    assert table.column("cumulative")[-1] == pytest.approx(1)
    assert table.columns[-1] == "x9"


def test_collinear_and_constant_columns_have_components_without_variance(analyze):
    x = np.array([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [4.0, 8.0, 5.0]])
    found = PCA(3).model(analyze(PCA(3), Rows(x[:1]), Rows(x[1:])), {})
    np.testing.assert_allclose(found["ratio"], [1, 0, 0], atol=1e-12)


def test_what_cannot_be_done_is_refused(analyze):
    with pytest.raises(InvalidInput, match="components must be"):
        PCA(0)
    with pytest.raises(InvalidInput, match="fewer than 3 components"):
        analyze(PCA(3), Rows(np.zeros((4, 2))))
    with pytest.raises(InvalidInput, match="two rows"):
        analyze(PCA(1), Rows(np.zeros((1, 2))))
    with pytest.raises(InvalidInput, match="fitted on 2 columns"):
        PCA(1).predict({"mean": np.zeros(2), "components": np.zeros((1, 2))}, np.zeros((3, 5)))
