"""Linear regression against NIST's certified values, statsmodels and scikit-learn on the pooled rows."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from comity.strategies.linear_regression import LinearRegression
from comity.values.errors import InvalidInput
from comity.values.rows import Rows

# NIST Statistical Reference Datasets, Longley (higher level of difficulty): certified values.
COEFFICIENTS = [-3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683]
COEFFICIENTS += [-1.03322686717359, -0.0511041056535807, 1829.15146461355]
ERRORS = [890420.383607373, 84.9149257747669, 0.0334910077722432, 0.488399681651699]
ERRORS += [0.214274163161675, 0.226073200069370, 455.478499142212]
R2, RESIDUAL_SD = 0.995479004577296, 304.854073561965


def test_longley_is_nist_s(analyze, dealt):
    data = sm.datasets.longley.load_pandas()
    strategy = LinearRegression()
    state = analyze(strategy, *dealt(Rows(data.exog.to_numpy(), data.endog.to_numpy())))
    table = strategy.table(state)
    np.testing.assert_allclose(table.column("coefficient"), COEFFICIENTS, rtol=1e-9)
    np.testing.assert_allclose(table.column("std error"), ERRORS, rtol=1e-9)
    assert f"R² {R2:.6g}" in table.title
    assert f"residual variance {RESIDUAL_SD**2:.6g}" in table.title


def test_inference_is_that_of_statsmodels(analyze, dealt):
    x, y = load_diabetes(return_X_y=True, scaled=False)
    strategy = LinearRegression()
    state = analyze(strategy, *dealt(Rows(x, y)))
    table, expected = strategy.table(state), sm.OLS(y, sm.add_constant(x)).fit()
    np.testing.assert_allclose(table.column("coefficient"), expected.params, rtol=1e-8)
    np.testing.assert_allclose(table.column("std error"), expected.bse, rtol=1e-8)
    np.testing.assert_allclose(table.column("t"), expected.tvalues, rtol=1e-8)
    np.testing.assert_allclose(table.column("p"), expected.pvalues, rtol=1e-6)
    np.testing.assert_allclose(table.column("95% low"), expected.conf_int()[:, 0], rtol=1e-8)
    np.testing.assert_allclose(table.column("95% high"), expected.conf_int()[:, 1], rtol=1e-8)
    np.testing.assert_allclose(strategy.predict(strategy.model(state, {}), x), expected.fittedvalues, rtol=1e-8)


def test_a_ridge_is_that_of_scikit_learn_and_shows_no_p_values(analyze, dealt):
    x, y = load_diabetes(return_X_y=True, scaled=False)
    strategy = LinearRegression(l2=0.5)
    state = analyze(strategy, *dealt(Rows(x, y)))
    expected = Ridge(alpha=0.5 * len(x), solver="cholesky").fit(x, y)
    np.testing.assert_allclose(strategy.model(state, {})["coef"], expected.coef_, rtol=1e-8)
    np.testing.assert_allclose(strategy.model(state, {})["intercept"], expected.intercept_, rtol=1e-8)
    assert strategy.table(state).columns == ("column", "coefficient")


def test_columns_that_follow_from_others_are_named(analyze, dealt):
    x = np.random.default_rng(0).normal(size=(50, 2))
    x = np.column_stack([x, x[:, 0] - 3 * x[:, 1] + 7, np.full(50, 0.1)])
    rows = Rows(x, x[:, 0], ("age", "weight", "both", "constant"))
    with pytest.raises(InvalidInput, match="2 columns do not vary or follow from the columns before them: both, const"):
        analyze(LinearRegression(), *dealt(rows))
    analyze(LinearRegression(l2=1.0), *dealt(rows))


def test_without_degrees_of_freedom_there_are_no_standard_errors(analyze):
    strategy = LinearRegression()
    table = strategy.table(analyze(strategy, Rows(np.array([[0.0], [1.0]]), np.array([1.0, 3.0]))))
    assert table.columns == ("column", "coefficient")
    assert table.column("coefficient") == pytest.approx([1, 2])


def test_l2_must_not_be_negative():
    with pytest.raises(InvalidInput, match="l2"):
        LinearRegression(l2=-1)
