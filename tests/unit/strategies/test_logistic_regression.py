"""Logistic regression against statsmodels and scikit-learn on the pooled rows."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression as Reference

from comity.strategies.logistic_regression import LogisticRegression
from comity.values.errors import InvalidInput
from comity.values.rows import Rows


@pytest.fixture
def cancer():
    data = load_breast_cancer()
    return Rows(data.data[:, :6], data.target, tuple(data.feature_names[:6]))


@pytest.mark.filterwarnings("ignore:Maximum Likelihood optimization failed")  # at 1e-14 statsmodels is never content
def test_inference_is_that_of_statsmodels(cancer, analyze, dealt):
    strategy = LogisticRegression()
    state = analyze(strategy, *dealt(cancer))
    expected = sm.Logit(cancer.y, sm.add_constant(cancer.x)).fit(method="newton", tol=1e-14, maxiter=100, disp=False)
    table = strategy.table(state)
    np.testing.assert_allclose(table.column("coefficient"), expected.params, rtol=1e-7)
    np.testing.assert_allclose(table.column("std error"), expected.bse, rtol=1e-7)
    np.testing.assert_allclose(table.column("z"), expected.tvalues, rtol=1e-7)
    np.testing.assert_allclose(table.column("p"), expected.pvalues, rtol=1e-6)
    low, high = expected.conf_int().T
    np.testing.assert_allclose(table.column("95% low"), low, rtol=1e-7)
    np.testing.assert_allclose(table.column("95% high"), high, rtol=1e-7)
    np.testing.assert_allclose(table.column("odds ratio"), np.exp(expected.params), rtol=1e-6)
    np.testing.assert_allclose(table.column("odds ratio 95% low"), np.exp(low), rtol=1e-6)
    np.testing.assert_allclose(strategy.predict(strategy.model(state, {}), cancer.x), expected.predict(), atol=1e-8)
    assert f"log-likelihood {expected.llf:.6g}" in table.title
    assert f"McFadden's R² {expected.prsquared:.4g}" in table.title
    assert state.round <= 12


def test_a_ridge_is_that_of_scikit_learn(cancer, analyze, dealt):
    x = (cancer.x - cancer.x.mean(axis=0)) / cancer.x.std(axis=0)
    strategy = LogisticRegression(l2=0.01)
    found = strategy.model(analyze(strategy, *dealt(Rows(x, cancer.y))), {})
    expected = Reference(C=1 / (2 * 0.01 * len(x)), solver="newton-cholesky", tol=1e-12).fit(x, cancer.y)
    np.testing.assert_allclose(found["coef"], expected.coef_[0], rtol=1e-7)
    np.testing.assert_allclose(found["intercept"], expected.intercept_[0], rtol=1e-7)


@pytest.mark.parametrize(
    ("separating", "kind"), [(lambda y: y, "complete"), (lambda y: np.where(np.arange(len(y)) % 3, 0, y), "quasi")]
)
def test_a_column_that_separates_the_classes_is_named(separating, kind, analyze, dealt):
    generator = np.random.default_rng(0)
    y = generator.integers(2, size=90)
    x = np.column_stack([generator.normal(size=90), separating(y)])
    with pytest.raises(InvalidInput, match=r"no finite estimate exists.*grow without end: .*tell-tale"):
        analyze(LogisticRegression(), *dealt(Rows(x, y, ("age", "tell-tale"))))
    analyze(LogisticRegression(l2=0.01), *dealt(Rows(x, y, ("age", "tell-tale"))))


@pytest.mark.filterwarnings("ignore:Maximum Likelihood optimization failed")
def test_nearly_separated_classes_are_fitted(analyze, dealt):
    """One row on the wrong side is enough for a finite estimate."""
    x = np.linspace(-3, 3, 80)[:, None]
    y = (x[:, 0] > 0).astype(float)
    y[35] = 1.0
    state = analyze(LogisticRegression(), *dealt(Rows(x, y)))
    expected = sm.Logit(y, sm.add_constant(x)).fit(method="newton", tol=1e-14, maxiter=100, disp=False)
    np.testing.assert_allclose(state.coef, expected.params, rtol=1e-6)


def test_a_row_far_out_is_no_obstacle(analyze):
    """At the maximum the residuals are orthogonal to the columns."""
    x = np.array([[0.0], [1.0], [2.0], [3.0], [500.0], [1.5]])
    y = np.array([0, 1, 0, 1, 1, 0.0])
    state = analyze(LogisticRegression(), Rows(x[:3], y[:3]), Rows(x[3:], y[3:]))
    residual = y - LogisticRegression().predict(LogisticRegression().model(state, {}), x)
    np.testing.assert_allclose([residual.sum(), residual @ x[:, 0]], 0, atol=1e-9)


def test_what_cannot_be_fitted_is_refused(cancer, analyze):
    with pytest.raises(InvalidInput, match="0 and 1 only"):
        analyze(LogisticRegression(), Rows(np.zeros((2, 1)), np.array([1, 2])))
    with pytest.raises(InvalidInput, match="not be of one class"):
        analyze(LogisticRegression(), Rows(np.zeros((2, 1)), np.array([1, 1])))
    twice = Rows(np.column_stack([cancer.x, 2 * cancer.x[:, 0]]), cancer.y, (*cancer.columns, "twice"))
    with pytest.raises(InvalidInput, match="twice does not vary or follows"):
        analyze(LogisticRegression(), twice)
    with pytest.raises(InvalidInput, match="l2"):
        LogisticRegression(l2=-1)
