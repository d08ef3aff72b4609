"""Linear models of scikit-learn: what sites share is their coefficients and intercepts.

Two kinds. Those with `partial_fit` (SGDClassifier, SGDRegressor, Perceptron) take the recipe's
mini-batches, one `partial_fit` each, with the estimator's own learning rate, whose schedule begins
anew in every round. All others run their own solver on all rows of a site, from the shared
coefficients where the solver can begin somewhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
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

from comity.values import bounds, tree
from comity.values import model as floor
from comity.values.errors import InvalidInput, NotSupported, unknown
from comity.values.model import Ability, Fit, Train, Training
from comity.values.rows import Rows
from comity.values.seed import batches, derive
from comity.values.tree import Array, Tree

Settings: TypeAlias = tuple[tuple[str, Any], ...]

STEPWISE = (SGDClassifier, SGDRegressor, Perceptron)
WHOLE = (ElasticNet, Lasso, LinearRegression, LinearSVC, LinearSVR, LogisticRegression, Ridge, RidgeClassifier)

DECIDED: Mapping[str, str] = {
    "random_state": "it follows from the experiment's seed",
    "warm_start": "every round begins at the shared coefficients",
    "average": "averages over steps are not shared between rounds",
}
"""Settings that may not be given, and why."""
OF_FIT = ("early_stopping", "max_iter", "n_iter_no_change", "tol", "validation_fraction")
"""Settings that `partial_fit` does not look at."""


@final
@dataclass(frozen=True, slots=True)
class Solver:
    """The estimator's own way to its coefficients, as `optimizer` of a recipe."""


@final
@dataclass(frozen=True, repr=False)
class Model(floor.Model):
    """A linear estimator of scikit-learn, given with its settings or as its class.

    Parameters: coef (k, features) and intercept (k,), where k is 1 for regression and two classes;
    they begin at zero. Predictions are probabilities of class 1 (n,) or of each class (n, classes)
    where the estimator has them; of others the decision function, squashed to 0..1: a score, not a
    probability. A fit's loss is that of the fitted model on the training rows: the log loss of
    probabilities, else the share of errors; the mean squared error for regression.

    >>> Model(SGDClassifier(loss="log_loss", alpha=0.01), features=13, classes=2)
    Model(SGDClassifier, alpha=0.01, loss='log_loss', features=13, classes=2)
    """

    estimator: Any
    """Kept as its class."""
    features: int
    classes: int = 0
    """How many classes y = 0, 1, ... has; 0 for regression."""
    settings: Settings = ()
    """Those that differ from the class's defaults, by name; taken from an estimator that is given."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        given = self.estimator
        kind = given if isinstance(given, type) else type(given)
        if kind not in (*STEPWISE, *WHOLE):
            known = ", ".join(sorted(each.__name__ for each in (*STEPWISE, *WHOLE)))
            raise InvalidInput(f"{kind.__name__} has no coefficients that sites could share; use one of {known}")
        settings = dict(self.settings)
        if isinstance(given, BaseEstimator):
            default = kind().get_params()
            settings = {name: v for name, v in given.get_params().items() if v != default[name]} | settings
        _check_settings(kind, settings)
        if self.features < 1:
            raise InvalidInput(f"features must be at least 1, not {self.features}")
        if is_classifier(kind()) != (self.classes >= 2):
            wanted = "classes=2 or more" if is_classifier(kind()) else "no classes, as it is for regression"
            raise InvalidInput(f"{kind.__name__} takes {wanted}, but classes={self.classes} was given")
        object.__setattr__(self, "estimator", kind)
        object.__setattr__(self, "settings", tuple(sorted(settings.items())))

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in self.settings]
        classes = [f"classes={self.classes}"] if self.classes else []
        return f"Model({', '.join([self.estimator.__name__, *settings, f'features={self.features}', *classes])})"

    @property
    def can(self) -> frozenset[Ability]:
        return frozenset({Ability.FIT})

    def accepts(self, train: Train) -> frozenset[Ability]:
        name = self.estimator.__name__
        if not isinstance(train.optimizer, Solver):
            raise NotSupported(f"{name} has a solver of its own; say optimizer=co.sklearn.Solver()")
        if self.estimator in WHOLE and (train.batch_size, train.steps, train.epochs) != (0, 0, 1):
            raise NotSupported(
                f"{name} solves for all rows at once and knows no mini-batches or steps; say "
                "co.Train(optimizer=co.sklearn.Solver(), batch_size=0, epochs=1)"
            )
        return self.can

    def init(self, seed: int) -> Tree:
        k = self.classes if self.classes > 2 else 1
        return {"coef": np.zeros((k, self.features)), "intercept": np.zeros(k)}

    def fit(self, training: Training) -> Fit:
        self.accepts(training.train)
        if training.correction is not None or training.pull is not None:
            raise NotSupported(f"{self.estimator.__name__} takes no correction and no pull: its solver is its own")
        rows, train, x = training.rows, training.train, self._features(training.rows.x)
        y = self._targets(rows)
        estimator = self._restored(training.params, derive(training.seed, "sklearn") % 2**32)
        steps = train.count(len(rows))
        if self.estimator in STEPWISE:
            for batch in batches(len(rows), train.size(len(rows)), steps, derive(training.seed, "batches")):
                estimator.partial_fit(x[batch], y[batch])
        else:
            if self.classes and len(np.unique(y)) < self.classes:
                raise InvalidInput(
                    f"{self.estimator.__name__} needs rows of all {self.classes} classes at every site, but this one "
                    f"has only {np.unique(y).tolist()}; SGDClassifier does not"
                )
            with warnings.catch_warnings():
                # A site may stop early on purpose (max_iter): the next round goes on from there.
                warnings.simplefilter("ignore", ConvergenceWarning)
                estimator.fit(x, y)
        made: Tree = {
            "coef": np.array(estimator.coef_, np.float64, ndmin=2),
            "intercept": np.array(estimator.intercept_, np.float64, ndmin=1),
        }
        tree.check(made, "the model after local training")
        return Fit(made, len(rows), steps, 0.0, self._loss(estimator, x, y))

    def gradient(self, params: Tree, rows: Rows) -> tuple[Tree, float]:
        """Refused: raises NotSupported, as estimators give no gradients."""
        raise NotSupported(f"{self.estimator.__name__} gives no gradients; use co.torch or co.numpy for this strategy")

    def predict(self, params: Tree, x: Array) -> Array:
        return self._predictions(self._restored(params), self._features(x))

    def _restored(self, params: Tree, seed: int = 0) -> Any:
        """An estimator with these coefficients, as if it had been fitted."""
        leaves = tree.flatten(params)
        if {name: leaf.shape for name, leaf in leaves.items()} != {n: a.shape for n, a in self.init(0).items()}:  # pyright: ignore
            raise InvalidInput(f"these parameters are not this model's: { ({n: a.shape for n, a in leaves.items()}) }")
        estimator: Any = self.estimator(**dict(self.settings))
        known = estimator.get_params()
        estimator.set_params(**{n: v for n, v in (("random_state", seed), ("warm_start", True)) if n in known})
        coef = np.array(leaves["coef"], np.float64)
        estimator.coef_ = coef if self.classes else coef[0]
        estimator.intercept_ = np.array(leaves["intercept"], np.float64)
        estimator.n_features_in_ = self.features
        if self.classes:
            estimator.classes_ = np.arange(self.classes)
        return estimator

    def _predictions(self, estimator: Any, x: Array) -> Array:
        if not self.classes:
            return np.asarray(estimator.predict(x))
        if hasattr(estimator, "predict_proba"):
            probability = np.asarray(estimator.predict_proba(x))
            return probability[:, 1] if self.classes == 2 else probability
        score = np.asarray(estimator.decision_function(x))
        return np.asarray(expit(score) if self.classes == 2 else softmax(score, axis=1))

    def _loss(self, estimator: Any, x: Array, y: Array) -> float:
        predictions = self._predictions(estimator, x)
        if not self.classes:
            return float(np.mean((predictions - y) ** 2))
        if not hasattr(estimator, "predict_proba"):
            return float(np.mean(estimator.predict(x) != y))
        right = (
            np.where(y == 1, predictions, 1 - predictions) if self.classes == 2 else predictions[np.arange(len(y)), y]
        )
        return float(-np.log(np.maximum(right, np.finfo(float).tiny)).mean())

    def _features(self, x: Array) -> Array:
        if x.ndim != 2 or x.shape[1] != self.features:
            raise InvalidInput(f"x has shape {x.shape} but the model takes (n, {self.features})")
        return x.astype(np.float64, copy=False)

    def _targets(self, rows: Rows) -> Array:
        y = rows.targets.reshape(len(rows), -1)
        if y.shape[1] != 1:
            raise InvalidInput(f"y has shape {rows.targets.shape} but {self.estimator.__name__} takes one target a row")
        if self.classes and not np.isin(y, np.arange(self.classes)).all():
            raise InvalidInput(f"y must be classes 0 to {self.classes - 1}, but holds {np.unique(y)[:5].tolist()}")
        return y[:, 0].astype(np.int64 if self.classes else np.float64)


def _check_settings(kind: Any, settings: Mapping[str, Any]) -> None:
    known = kind().get_params()
    for name in settings:
        if name not in known:
            raise unknown(f"setting of {kind.__name__}", name, known)
        if name in DECIDED:
            raise InvalidInput(f"leave {name} out: {DECIDED[name]}")
        if kind in STEPWISE and name in OF_FIT:
            raise InvalidInput(f"leave {name} out: the recipe's steps decide how long {kind.__name__} trains")
