"""The scikit-learn adapter, against the same estimators used by themselves."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.svm import LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier

from comity.frameworks.sklearn import Model, Solver
from comity.values.errors import InvalidInput, NotSupported
from comity.values.model import Ability, Train, Training
from comity.values.optimizer import SGD
from comity.values.rows import Rows
from comity.values.seed import batches, derive

WHOLE = Train(optimizer=Solver(), batch_size=0, epochs=1)
STEPS = Train(optimizer=Solver(), batch_size=16, steps=40)

IRIS = load_iris()
CANCER = load_breast_cancer()
X3, Y3 = (IRIS.data - IRIS.data.mean(0)) / IRIS.data.std(0), IRIS.target
X2, Y2 = (CANCER.data - CANCER.data.mean(0)) / CANCER.data.std(0), CANCER.target
X1, Y1 = X3[:, :3], IRIS.data[:, 3]


def training(model, train, x, y, params=None):
    return Training(params=params or model.init(0), rows=Rows(x, y), train=train, seed=3)


@pytest.mark.parametrize(
    ("estimator", "x", "y"),
    [
        (LogisticRegression(), X2, Y2),
        (LogisticRegression(C=0.1), X3, Y3),
        (LinearSVC(), X3, Y3),
        (LinearSVC(), X2, Y2),
        (RidgeClassifier(), X2, Y2),
        (RidgeClassifier(alpha=3.0), X3, Y3),
        (LinearRegression(), X1, Y1),
        (Ridge(alpha=0.5), X1, Y1),
        (Lasso(alpha=0.01), X1, Y1),
        (ElasticNet(alpha=0.01), X1, Y1),
        (LinearSVR(max_iter=100_000), X1, Y1),
        (LinearRegression(fit_intercept=False), X1, Y1),
    ],
    ids=lambda value: str(value) if isinstance(value, BaseEstimator) else f"{len(value)} rows",
)
def test_a_fit_on_all_rows_is_the_estimators_own(estimator, x, y):
    classes = len(np.unique(y)) if y.dtype.kind == "i" else 0
    model = Model(estimator, features=x.shape[1], classes=classes)
    fit = model.fit(training(model, WHOLE, x, y))
    if "random_state" in estimator.get_params():
        estimator = clone(estimator).set_params(random_state=derive(3, "sklearn") % 2**32)
    estimator.fit(x, y)
    np.testing.assert_allclose(fit.params["coef"], np.atleast_2d(estimator.coef_), rtol=1e-8)
    np.testing.assert_allclose(fit.params["intercept"], np.atleast_1d(estimator.intercept_), rtol=1e-8)
    assert (fit.rows, fit.steps) == (len(x), 1)
    predictions = model.predict(fit.params, x)
    assert predictions.shape == ((len(x),) if classes != 3 else (len(x), 3))
    if classes:
        labels = predictions.argmax(1) if classes == 3 else predictions > 0.5
        assert np.mean(labels == estimator.predict(x)) == 1
    else:
        np.testing.assert_allclose(predictions, estimator.predict(x), rtol=1e-8)


@pytest.mark.parametrize(
    ("kind", "settings", "x", "y"),
    [
        (SGDClassifier, {"loss": "log_loss"}, X2, Y2),
        (SGDClassifier, {"loss": "log_loss", "alpha": 0.01}, X3, Y3),
        (SGDClassifier, {}, X2, Y2),
        (Perceptron, {}, X2, Y2),
        (SGDRegressor, {"eta0": 0.05}, X1, Y1),
    ],
)
def test_mini_batches_are_given_to_partial_fit(kind, settings, x, y):
    classes = len(np.unique(y)) if y.dtype.kind == "i" else 0
    model = Model(kind(**settings), features=x.shape[1], classes=classes)
    fit = model.fit(training(model, STEPS, x, y))
    alone = kind(**settings, random_state=derive(3, "sklearn") % 2**32)
    for batch in batches(len(x), 16, 40, derive(3, "batches")):
        alone.partial_fit(x[batch], y[batch], **({"classes": np.arange(classes)} if classes else {}))
    np.testing.assert_allclose(fit.params["coef"], np.atleast_2d(alone.coef_), rtol=1e-12)
    np.testing.assert_allclose(fit.params["intercept"], np.atleast_1d(alone.intercept_), rtol=1e-12)
    if hasattr(alone, "predict_proba"):
        want = alone.predict_proba(x)
        np.testing.assert_allclose(model.predict(fit.params, x), want[:, 1] if classes == 2 else want)
    elif not classes:
        np.testing.assert_allclose(model.predict(fit.params, x), alone.predict(x))


def test_a_round_goes_on_from_the_shared_coefficients():
    for estimator, train in (
        (LogisticRegression(max_iter=3), WHOLE),
        (SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.001), STEPS),
    ):
        model = Model(estimator, features=30, classes=2)
        first = model.fit(training(model, train, X2, Y2))
        second = model.fit(training(model, train, X2, Y2, first.params))
        assert second.loss < first.loss


def test_an_estimator_is_kept_as_class_and_settings():
    model = Model(SGDClassifier(alpha=0.01, loss="log_loss"), features=4, classes=3)
    assert model == Model(SGDClassifier, features=4, classes=3, settings=(("alpha", 0.01), ("loss", "log_loss")))
    assert hash(model) == hash(Model(SGDClassifier(loss="log_loss", alpha=0.01), features=4, classes=3))
    assert repr(model) == "Model(SGDClassifier, alpha=0.01, loss='log_loss', features=4, classes=3)"
    assert model.can == frozenset({Ability.FIT})


@pytest.mark.parametrize(
    ("estimator", "features", "classes", "message"),
    [
        (DecisionTreeClassifier(), 4, 3, "DecisionTreeClassifier has no coefficients that sites could share; use one"),
        (SGDClassifier(random_state=3), 4, 3, "leave random_state out"),
        (LogisticRegression(warm_start=True), 4, 3, "leave warm_start out"),
        (SGDRegressor(average=True), 4, 0, "leave average out"),
        (SGDClassifier(max_iter=5), 4, 3, "leave max_iter out: the recipe's steps"),
        (LogisticRegression(), 4, 0, "takes classes=2 or more"),
        (Ridge(), 4, 2, "takes no classes"),
        (Ridge(), 0, 0, "features must be at least 1"),
    ],
    ids=str,
)
def test_what_cannot_be_shared_is_refused_at_construction(estimator, features, classes, message):
    with pytest.raises(InvalidInput, match=message):
        Model(estimator, features=features, classes=classes)


def test_misspelt_settings_are_refused():
    with pytest.raises(InvalidInput, match="did you mean 'alpha'"):
        Model(Ridge, features=3, settings=(("alfa", 1.0),))


def test_recipes_that_would_mislead_are_refused():
    whole, stepwise = Model(Ridge(), features=3), Model(SGDRegressor(), features=3)
    with pytest.raises(NotSupported, match=r"say optimizer=co\.sklearn\.Solver\(\)"):
        stepwise.accepts(Train(optimizer=SGD(0.1), steps=3))
    for train in (STEPS, Train(optimizer=Solver(), epochs=1), Train(optimizer=Solver(), batch_size=0, epochs=2)):
        with pytest.raises(NotSupported, match="knows no mini-batches or steps"):
            whole.accepts(train)
    with pytest.raises(NotSupported, match="no correction"):
        stepwise.fit(
            Training(params=stepwise.init(0), rows=Rows(X1, Y1), train=STEPS, seed=0, correction=stepwise.init(0))
        )
    with pytest.raises(NotSupported, match="gives no gradients"):
        whole.gradient(whole.init(0), Rows(X1, Y1))


def test_rows_that_do_not_fit_are_refused():
    model = Model(LogisticRegression(), features=4, classes=3)
    with pytest.raises(InvalidInput, match=r"only \[0\]; SGDClassifier does not"):
        model.fit(training(model, WHOLE, X3[:50], Y3[:50]))
    with pytest.raises(InvalidInput, match="classes 0 to 2"):
        model.fit(training(model, WHOLE, X3, Y3 + 1))
    with pytest.raises(InvalidInput, match=r"the model takes \(n, 4\)"):
        model.predict(model.init(0), X1)
    with pytest.raises(InvalidInput, match="not this model's"):
        model.predict({"coef": np.zeros((1, 4)), "intercept": np.zeros(1)}, X3)
    with pytest.raises(InvalidInput, match="one target a row"):
        model.fit(training(model, WHOLE, X3, np.eye(3)[Y3]))
    sgd = Model(SGDClassifier(), features=4, classes=3)
    assert np.isfinite(sgd.fit(training(sgd, STEPS, X3[:50], Y3[:50])).loss)
