"""Models on plain numpy: your own functions, or the linear models that need no framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, Literal, TypeAlias, final

import numpy as np

from comity.values import bounds, tree
from comity.values import model as floor
from comity.values.dp_sgd import DPSGD
from comity.values.errors import InvalidInput, NotSupported, unknown
from comity.values.model import Ability, Fit, Train, Training
from comity.values.optimizer import SGD, Adam
from comity.values.rows import Rows
from comity.values.seed import batches, derive
from comity.values.tree import Array, Tree

Gradient: TypeAlias = Callable[[Tree, Array, Array], tuple[Tree, float]]

Clipped: TypeAlias = Callable[[Tree, Array, Array, DPSGD], Tree]
"""The sum of the gradients of single rows, each scaled as DP-SGD says; zeros for no rows."""

ALL = frozenset(Ability)


@final
@dataclass(frozen=True)
class Model(floor.Model):
    """A model given as three numpy functions.

    `init(generator) -> params`, `gradient(params, x, y) -> (gradient of the mean loss, mean loss)` and
    `predict(params, x) -> predictions` (probabilities for classes, values for regression).
    """

    init_params: Callable[[np.random.Generator], Tree]
    loss_gradient: Gradient
    prediction: Callable[[Tree, Array], Array]

    @property
    def can(self) -> frozenset[Ability]:
        return ALL

    def accepts(self, train: Train) -> frozenset[Ability]:
        return _accepts(train)

    def init(self, seed: int) -> Tree:
        params = self.init_params(np.random.default_rng(derive(seed, "init")))
        tree.check(params, "the model's initial parameters")
        for path, leaf in tree.flatten(params).items():
            if leaf.dtype.kind != "f":
                raise InvalidInput(f"the initial parameter {path!r} is of {leaf.dtype}, which no gradient can move")
        return params

    def fit(self, training: Training) -> Fit:
        return descend(training, self._loss_gradient, self._clipped)

    def gradient(self, params: Tree, rows: Rows) -> tuple[Tree, float]:
        return self._loss_gradient(params, rows.x, rows.targets)

    def accepts_dp_sgd(self) -> None:
        """Any gradient will do: it is asked of one row at a time."""

    def predict(self, params: Tree, x: Array) -> Array:
        return self.prediction(tree.read_only(params), x)

    def _loss_gradient(self, params: Tree, x: Array, y: Array) -> tuple[Tree, float]:
        # a function that writes into its parameters would write into the state of every site
        return self.loss_gradient(tree.read_only(params), x, y)

    def _clipped(self, params: Tree, x: Array, y: Array, how: DPSGD) -> Tree:
        total = tree.zeros_like(params, np.float64)
        for at in range(len(x)):
            gradient, _ = self._loss_gradient(params, x[at : at + 1], y[at : at + 1])
            squares = sum(float(np.vdot(leaf, leaf)) for leaf in tree.flatten(gradient).values())
            if factor := float(how.factors(np.sqrt(squares))):
                total = tree.axpy(factor, gradient, total)
        return total


@final
@dataclass(frozen=True)
class Linear(floor.Model):
    """A linear model: logistic or softmax regression, or least squares.

    Parameters are weight (features,) and bias () for one output, (features, outputs) and (outputs,)
    for more; they begin as those of torch.nn.Linear after torch.manual_seed(seed), to the bit: uniform
    in ±1/√features.

    >>> Linear(features=13, loss="logistic")
    Linear(features=13, loss='logistic', outputs=1)
    """

    features: int
    loss: Literal["logistic", "softmax", "squared"] = "squared"
    """logistic: y in {0, 1}; softmax: y in 0..outputs-1; squared: half the squared error. The mean over
    the rows and, but for softmax, over the outputs."""
    outputs: int = 1

    def __post_init__(self) -> None:
        bounds.plain(self)
        if self.loss not in ("logistic", "softmax", "squared"):
            raise unknown("loss", self.loss, ("logistic", "softmax", "squared"))
        if self.features < 1 or self.outputs < 1:
            raise InvalidInput(f"features and outputs must be at least 1, not {self.features} and {self.outputs}")
        if self.loss == "softmax" and self.outputs < 2:
            raise InvalidInput("softmax needs at least 2 outputs; use loss='logistic' for two classes with one output")

    @property
    def can(self) -> frozenset[Ability]:
        return ALL

    def accepts(self, train: Train) -> frozenset[Ability]:
        return _accepts(train)

    def init(self, seed: int) -> Tree:
        bits = np.random.RandomState(seed & 0xFFFFFFFF)
        weight = _uniform(bits, (self.outputs, self.features), self.features**-0.5)
        bias = _uniform(bits, (self.outputs,), self.features**-0.5)
        return (
            {"weight": weight[0], "bias": np.asarray(bias[0])}
            if self.outputs == 1
            else {"weight": weight.T.copy(), "bias": bias}
        )

    def fit(self, training: Training) -> Fit:
        self._check(training.rows)
        return descend(training, self._loss_gradient, self._clipped)

    def accepts_dp_sgd(self) -> None:
        """A row's gradient is its error times its features: the closed form."""

    def gradient(self, params: Tree, rows: Rows) -> tuple[Tree, float]:
        self._check(rows)
        return self._loss_gradient(params, rows.x, rows.targets)

    @np.errstate(over="ignore", invalid="ignore")  # metrics say that a prediction is not finite
    def predict(self, params: Tree, x: Array) -> Array:
        self._check_features(x)
        score = self._score(params, x)
        match self.loss:
            case "logistic":
                return _sigmoid(score)
            case "softmax":
                return _softmax(score)
            case "squared":
                return score

    def _check_features(self, x: Array) -> None:
        if x.ndim != 2 or x.shape[1] != self.features or x.dtype.kind not in "biuf":
            raise InvalidInput(f"x has shape {x.shape} of {x.dtype} but the model takes numbers (n, {self.features})")

    def _check(self, rows: Rows) -> None:
        self._check_features(rows.x)
        y, n = rows.targets, len(rows)
        shape = (n,) if self.outputs == 1 or self.loss == "softmax" else (n, self.outputs)
        if y.shape != shape or y.dtype.kind not in "biuf":
            raise InvalidInput(f"y has shape {y.shape} of {y.dtype} but {self} takes numbers {shape}")
        if self.loss == "logistic" and not ((y == 0) | (y == 1)).all():
            raise InvalidInput("logistic regression takes y of 0 and 1 only; use loss='softmax' for more classes")
        if self.loss == "softmax" and not np.isin(y, range(self.outputs)).all():
            raise InvalidInput(f"softmax regression takes y of 0 to {self.outputs - 1} only; give outputs= the classes")

    def _score(self, params: Tree, x: Array) -> Array:
        leaves: dict[str, Any] = dict(params)
        return x @ leaves["weight"] + leaves["bias"]  # (n,) or (n, outputs)

    def _clipped(self, params: Tree, x: Array, y: Array, how: DPSGD) -> Tree:
        error = self._errors(self._score(params, x), y)  # (n,) or (n, outputs)
        squares = np.square(error) if error.ndim == 1 else np.square(error).sum(axis=1)
        factors = how.factors(np.sqrt(squares * (np.square(x).sum(axis=1) + 1)))  # the bias is that of a feature 1
        counted = factors > 0
        scaled = (error[counted].T * factors[counted]).T
        return {"weight": x[counted].T @ scaled, "bias": np.asarray(scaled.sum(axis=0))}

    def _errors(self, score: Array, y: Array) -> Array:
        """The gradient of each row's loss by its score: (n,) or (n, outputs)."""
        match self.loss:
            case "logistic":
                return (_sigmoid(score) - y) / self.outputs
            case "softmax":
                error = _softmax(score)
                error[np.arange(len(y)), np.asarray(y, dtype=np.int64)] -= 1.0
                return error
            case "squared":
                return (score - y) / self.outputs

    def _loss_gradient(self, params: Tree, x: Array, y: Array) -> tuple[Tree, float]:
        score = self._score(params, x)
        terms = len(x) if self.loss == "softmax" else score.size
        match self.loss:
            case "logistic":
                error = _sigmoid(score) - y
                loss = (np.logaddexp(0.0, score) - y * score).mean()
            case "softmax":
                label = np.asarray(y, dtype=np.int64)
                probability = _softmax(score)
                loss = -np.log(np.maximum(probability[np.arange(len(x)), label], 1e-300)).mean()
                error = probability
                error[np.arange(len(x)), label] -= 1.0
            case "squared":
                error = score - y
                loss = 0.5 * (error * error).mean()
        error = error / terms
        return {"weight": x.T @ error, "bias": error.sum(axis=0)}, float(loss)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite in the end is refused
def descend(training: Training, gradient: Gradient, clipped: Clipped) -> Fit:
    """Mini-batch descent with co.SGD or co.Adam from numpy gradients, or from clipped ones as DP-SGD samples them."""
    rows, train, private = training.rows, training.train, training.dp_sgd
    x, y, n = rows.x, rows.targets, len(rows)
    leaves = tree.flatten(training.params)
    paths, params = list(leaves), list(leaves.values())
    shift, strength = _added(training)
    nested = any(tree.SEPARATOR in path for path in paths)
    optimizer = train.optimizer
    slots = optimizer.start(params)
    loss_sum, steps = 0.0, train.count(n)
    order = (
        batches(n, train.size(n), steps, derive(training.seed, "batches"))
        if private is None
        else (private.sample(n) for _ in range(steps))
    )
    for count, batch in enumerate(order, start=1):
        flat_params = dict(zip(paths, params, strict=True))
        named = tree.unflatten(flat_params) if nested else flat_params
        if private is None:
            grads, loss = gradient(named, x[batch], y[batch])
        else:
            grads, loss = private.mean(clipped(named, x[batch], y[batch], private), n), nan
        flat: dict[str, Any] = dict(tree.flatten(grads) if nested else grads)
        if count == 1:
            _check_gradient(flat, leaves)
        listed = [flat[path] for path in paths]
        if strength:
            listed = [g + strength * p for g, p in zip(listed, params, strict=True)]
        if shift is not None:
            listed = [g + s for g, s in zip(listed, shift, strict=True)]
        params, slots = optimizer.step(params, listed, slots, count)
        loss_sum += loss
    made = {path: np.asarray(p, leaves[path].dtype) for path, p in zip(paths, params, strict=True)}
    trained = tree.unflatten(made)
    tree.check(trained, "the model after local training")
    return Fit(trained, n, steps, steps * optimizer.lr, loss_sum / steps)


def _check_gradient(grads: Mapping[str, Array], params: Mapping[str, Array]) -> None:
    """Only of the first step, which says how the user's function answers."""
    if grads.keys() != params.keys():
        raise InvalidInput(f"the gradient has arrays for {sorted(grads)}, the parameters are {sorted(params)}")
    for path, leaf in params.items():
        if np.shape(grads[path]) != np.shape(leaf):
            raise InvalidInput(f"the gradient of {path!r} has shape {np.shape(grads[path])}, not {np.shape(leaf)}")


def _added(training: Training) -> tuple[list[Array] | None, float]:
    """What is added to every gradient, apart from strength · w: the correction and -strength · to."""
    parts: list[Tree] = []
    strength = 0.0
    if training.correction is not None:
        parts.append(training.correction)
    if training.pull is not None:
        strength = training.pull.strength
        parts.append(tree.scale(training.pull.to, -strength))
    if not parts:
        return None, strength
    added = parts[0] if len(parts) == 1 else tree.add(parts[0], parts[1])
    tree.same_paths(added, training.params)
    return list(tree.flatten(added).values()), strength


def _uniform(bits: np.random.RandomState, shape: tuple[int, ...], bound: float) -> Array:
    """Uniform in ±bound, made of 24 bits a number as torch makes its float32."""
    raw = bits.randint(0, 2**32, size=shape, dtype=np.uint32) & np.uint32(2**24 - 1)
    edge = float(np.float32(bound))
    return (raw * (2**-24 * 2 * edge) - edge).astype(np.float32).astype(np.float64)  # rounded once, as by fma


def _accepts(train: Train) -> frozenset[Ability]:
    if not isinstance(train.optimizer, SGD | Adam):
        kind = type(train.optimizer).__name__
        raise NotSupported(f"a numpy model trains with co.SGD or co.Adam, not with {kind}")
    plain = isinstance(train.optimizer, SGD) and not train.optimizer.momentum
    return ALL if plain else ALL - {Ability.GRADIENT_STEPS}


def _sigmoid(score: Array) -> Array:
    return 0.5 * np.tanh(0.5 * score) + 0.5


def _softmax(score: Array) -> Array:
    powers = np.exp(score - score.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
