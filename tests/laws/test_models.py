"""Laws that every model keeps, whatever its framework. A new model is one row in MODELS."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from comity.engine.repeatable import repeatable
from comity.frameworks import numpy as on_numpy
from comity.frameworks import sklearn as on_sklearn
from comity.frameworks import torch as on_torch
from comity.values import tree
from comity.values.dp_sgd import DPSGD
from comity.values.errors import NotSupported
from comity.values.model import Ability, Model, Pull, Train, Training
from comity.values.optimizer import SGD, Adam
from comity.values.rows import Rows
from comity.values.tree import Tree

ROWS, FEATURES = 37, 4
GENERATOR = np.random.default_rng(11)
X = GENERATOR.normal(size=(ROWS, FEATURES))
VALUES = X @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.3
BINARY = (VALUES > 0).astype(np.int64)
CLASSES = np.digitize(VALUES, [-1.0, 1.0])

PLAIN = Train(optimizer=SGD(0.05), batch_size=8, steps=7)
OWN = Train(optimizer=on_sklearn.Solver(), batch_size=8, steps=7)
WHOLE = Train(optimizer=on_sklearn.Solver(), batch_size=0, epochs=1)


def one_output():
    return nn.Linear(FEATURES, 1, dtype=float64())


def three_classes():
    return nn.Sequential(nn.Linear(FEATURES, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def single_precision():
    return nn.Sequential(nn.Linear(FEATURES, 6), nn.Tanh(), nn.Linear(6, 1))


def normalized():
    return nn.Sequential(nn.Linear(FEATURES, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))


def float64():
    import torch

    return torch.float64


def quadratic(params, x, y):
    """Least squares with the mean of squares as loss."""
    error = x @ params["layer"]["w"] - y
    return {"layer": {"w": 2 * x.T @ error / len(x)}}, float((error * error).mean())


@dataclass(frozen=True)
class Row:
    name: str
    model: Model
    y: np.ndarray
    shape: tuple[int, ...]
    """Of the predictions."""
    train: Train = PLAIN
    tolerance: float = 1e-7
    """The model's precision: float64 unless said otherwise."""


MODELS = [
    Row("numpy logistic", on_numpy.Linear(FEATURES, "logistic"), BINARY, (ROWS,)),
    Row("numpy softmax", on_numpy.Linear(FEATURES, "softmax", outputs=3), CLASSES, (ROWS, 3)),
    Row("numpy squared", on_numpy.Linear(FEATURES, "squared"), VALUES, (ROWS,)),
    Row(
        "numpy functions",
        on_numpy.Model(
            lambda generator: {"layer": {"w": generator.normal(size=FEATURES)}},
            quadratic,
            lambda params, x: x @ params["layer"]["w"],
        ),
        VALUES,
        (ROWS,),
    ),
    Row("torch logistic", on_torch.Model(one_output, binary_cross_entropy_with_logits), BINARY, (ROWS,)),
    Row("torch regression", on_torch.Model(one_output, mse_loss), VALUES, (ROWS,)),
    Row("torch classes", on_torch.Model(three_classes, cross_entropy), CLASSES, (ROWS, 3)),
    Row("torch float32", on_torch.Model(single_precision, mse_loss), VALUES, (ROWS,), tolerance=2e-3),
    Row(
        "torch averaged batch norm",
        on_torch.Model(normalized, mse_loss, batch_norm="average"),
        VALUES,
        (ROWS,),
        tolerance=2e-3,
    ),
    Row(
        "torch frozen batch norm",
        on_torch.Model(normalized, mse_loss, batch_norm="freeze"),
        VALUES,
        (ROWS,),
        tolerance=2e-3,
    ),
    Row("sklearn SGD", on_sklearn.Model(SGDClassifier(loss="log_loss"), FEATURES, 2), BINARY, (ROWS,), OWN),
    Row("sklearn SGD of 3", on_sklearn.Model(SGDClassifier(loss="log_loss"), FEATURES, 3), CLASSES, (ROWS, 3), OWN),
    Row("sklearn logistic", on_sklearn.Model(LogisticRegression(), FEATURES, 2), BINARY, (ROWS,), WHOLE),
    Row("sklearn ridge", on_sklearn.Model(Ridge(), FEATURES), VALUES, (ROWS,), WHOLE),
]

every = pytest.mark.parametrize("row", MODELS, ids=lambda row: row.name)


def able(*abilities: Ability) -> Callable:
    rows = [row for row in MODELS if set(abilities) <= row.model.accepts(row.train)]
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def training(row: Row, seed: int = 5, **added) -> Training:
    return Training(params=row.model.init(1), rows=Rows(X, row.y), train=row.train, seed=seed, **added)


def same(first, second) -> bool:
    left, right = tree.flatten(first), tree.flatten(second)
    return left.keys() == right.keys() and all(
        left[path].dtype == right[path].dtype and left[path].tobytes() == right[path].tobytes() for path in left
    )


def close(first, second, tolerance) -> None:
    tree.same_paths(first, second)
    for path, leaf in tree.flatten(first).items():
        np.testing.assert_allclose(leaf, tree.flatten(second)[path], atol=tolerance, rtol=tolerance)


def some_tree(like, seed, size=1.0):
    generator = np.random.default_rng(seed)
    return tree.map(lambda leaf: (size * generator.normal(size=leaf.shape)).astype(leaf.dtype), like)


@every
def test_init_is_decided_by_its_seed(row):
    first = row.model.init(3)
    assert same(first, row.model.init(3))
    tree.check(first, "fresh parameters")
    assert row.name.startswith("sklearn") or not same(first, row.model.init(4))


@every
def test_a_fit_is_deterministic_and_touches_nothing_it_was_given(row):
    added = {}
    if Ability.CORRECTION in row.model.can:
        added = {"correction": some_tree(row.model.init(1), 1, 0.1), "pull": Pull(some_tree(row.model.init(1), 2), 0.1)}
    given = training(row, **added)
    before = [leaf.copy() for leaf in (X, row.y, *tree.flatten(given.params).values())]
    first = row.model.fit(given)
    row.model.fit(replace(given, seed=77))
    second = row.model.fit(given)
    assert same(first.params, second.params)
    assert first.loss == second.loss
    for was, leaf in zip(before, (X, row.y, *tree.flatten(given.params).values()), strict=True):
        np.testing.assert_array_equal(was, leaf)
    for path, leaf in tree.flatten(first.params).items():
        assert not np.shares_memory(leaf, tree.flatten(given.params)[path])
        assert not np.shares_memory(leaf, tree.flatten(second.params)[path])


@every
def test_a_fit_keeps_paths_shapes_and_dtypes_and_counts(row):
    given = training(row)
    fit = row.model.fit(given)
    for path, leaf in tree.flatten(given.params).items():
        made = tree.flatten(fit.params)[path]
        assert (made.shape, made.dtype) == (leaf.shape, leaf.dtype)
    tree.same_paths(fit.params, given.params)
    assert fit.rows == ROWS
    assert fit.steps == row.train.count(ROWS)
    assert np.isfinite(fit.loss)
    assert fit.lr_sum == pytest.approx(7 * 0.05 if row.train is PLAIN else 0)


@every
def test_training_lowers_the_loss(row):
    first = row.model.fit(training(row))
    later = row.model.fit(replace(training(row), params=first.params))
    assert later.loss <= first.loss + 1e-9 or row.train is OWN


@every
def test_predictions_have_the_shape_promised(row):
    predictions = row.model.predict(row.model.fit(training(row)).params, X)
    assert predictions.shape == row.shape
    assert predictions.dtype == np.float64
    if row.y.dtype.kind == "i":
        assert predictions.min() >= 0
        assert predictions.max() <= 1
        if len(row.shape) == 2:
            np.testing.assert_allclose(predictions.sum(axis=1), 1, rtol=1e-6)
    assert row.model.predict(row.model.init(0), X[:1]).shape == (1, *row.shape[1:])


@able(Ability.GRADIENT)
def test_the_gradient_is_the_slope_of_the_loss(row):
    params, rows = row.model.init(2), Rows(X, row.y)
    gradient, loss = row.model.gradient(params, rows)
    assert np.isfinite(loss)
    step = 1e-6 if row.tolerance < 1e-4 else 1e-2
    for seed in range(3):
        direction = some_tree(params, seed)
        up = row.model.gradient(tree.axpy(step, direction, params), rows)[1]
        down = row.model.gradient(tree.axpy(-step, direction, params), rows)[1]
        tolerance = max(1e-6, 10 * row.tolerance)
        assert tree.dot(gradient, direction) == pytest.approx((up - down) / (2 * step), rel=tolerance, abs=tolerance)


@able(Ability.GRADIENT, Ability.GRADIENT_STEPS)
def test_one_step_is_the_learning_rate_times_the_gradient(row):
    given = replace(training(row), train=replace(PLAIN, batch_size=0, steps=1))
    gradient, loss = row.model.gradient(given.params, given.rows)
    fit = row.model.fit(given)
    close(fit.params, tree.axpy(-0.05, gradient, given.params), row.tolerance)
    assert fit.loss == pytest.approx(loss, rel=1e-5)


@able(Ability.GRADIENT, Ability.CORRECTION, Ability.GRADIENT_STEPS)
def test_a_correction_is_added_to_every_gradient(row):
    given = replace(training(row), train=replace(PLAIN, batch_size=0, steps=1))
    gradient, _ = row.model.gradient(given.params, given.rows)
    stays = row.model.fit(replace(given, correction=tree.scale(gradient, -1)))
    close(stays.params, given.params, row.tolerance)
    shift = some_tree(given.params, 8)
    moved = row.model.fit(replace(given, correction=shift))
    close(moved.params, tree.axpy(-0.05, shift, row.model.fit(given).params), row.tolerance)


@able(Ability.CORRECTION)
def test_a_correction_of_zero_changes_nothing(row):
    given = training(row)
    zero = row.model.fit(replace(given, correction=tree.zeros_like(given.params)))
    close(zero.params, row.model.fit(given).params, 1e-12)


@able(Ability.GRADIENT, Ability.PULL, Ability.GRADIENT_STEPS)
def test_a_pull_adds_strength_times_the_distance(row):
    given = replace(training(row), train=replace(PLAIN, batch_size=0, steps=1))
    gradient, loss = row.model.gradient(given.params, given.rows)
    to = some_tree(given.params, 9)
    fit = row.model.fit(replace(given, pull=Pull(to, 0.7)))
    pulled = tree.axpy(0.7, tree.sub(given.params, to), gradient)
    close(fit.params, tree.axpy(-0.05, pulled, given.params), row.tolerance)
    assert fit.loss == pytest.approx(loss, rel=1e-5)  # the proximal term is left out


@able(Ability.PULL)
def test_a_strong_pull_holds_the_model(row):
    given = training(row)
    to = given.params
    free = tree.norm(tree.sub(row.model.fit(given).params, to))
    held = tree.norm(tree.sub(row.model.fit(replace(given, pull=Pull(to, 15.0))).params, to))
    assert held < free or row.name == "torch averaged batch norm"  # its statistics move as they like


@every
@pytest.mark.parametrize("optimizer", [None, SGD(0.05, momentum=0.9), Adam(0.01)], ids=str)
def test_sites_trained_together_are_trained_as_alone(row, optimizer):
    if optimizer is not None and row.train is not PLAIN:
        optimizer = None
    train = replace(row.train, optimizer=optimizer or row.train.optimizer)
    trainings = [replace(training(row, seed=seed), train=train) for seed in range(6)]
    together = row.model.fit_many(trainings)
    for fit, given in zip(together or [], trainings, strict=together is not None):
        alone = row.model.fit(given)
        close(fit.params, alone.params, max(row.tolerance, 1e-6))
        assert (fit.rows, fit.steps, fit.lr_sum) == (alone.rows, alone.steps, alone.lr_sum)
        assert fit.loss == pytest.approx(alone.loss, rel=1e-5)


@every
def test_what_a_recipe_allows_is_among_what_the_model_can(row):
    assert row.model.accepts(row.train) <= row.model.can
    assert Ability.FIT in row.model.accepts(row.train)


@every
def test_models_are_values(row):
    assert replace(row.model) == row.model
    assert hash(replace(row.model)) == hash(row.model)
    assert row.model.on("cpu") == row.model


@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.05, 0.9, 0.01, nesterov=True), Adam(0.01, weight_decay=0.1)])
def test_torch_and_numpy_train_the_same_linear_model(optimizer):
    numpy, torch = on_numpy.Linear(FEATURES, "logistic"), MODELS[4].model
    start = numpy.init(1)
    train = replace(PLAIN, optimizer=optimizer, steps=50)
    rows = Rows(X, BINARY)
    ours = numpy.fit(Training(params=start, rows=rows, train=train, seed=5))
    params = {"weight": start["weight"][None], "bias": start["bias"][None]}
    theirs = torch.fit(Training(params=params, rows=rows, train=train, seed=5))
    np.testing.assert_allclose(theirs.params["weight"][0], ours.params["weight"], rtol=1e-9)
    np.testing.assert_allclose(theirs.params["bias"][0], ours.params["bias"], rtol=1e-9)
    assert theirs.loss == pytest.approx(ours.loss, rel=1e-9)
    np.testing.assert_allclose(torch.predict(theirs.params, X), numpy.predict(ours.params, X), rtol=1e-9)


def private(row: Row) -> bool:
    try:
        row.model.accepts_dp_sgd()
    except NotSupported:
        return False
    return True


PRIVATE = [row for row in MODELS if private(row)]
under_dp = pytest.mark.parametrize("row", PRIVATE, ids=lambda row: row.name)


def dp_sgd(clip=0.4, noise=0.0, rate=0.3, seed=9) -> DPSGD:
    return DPSGD(clip=clip, noise_multiplier=noise, sampling_rate=rate, random=repeatable(seed, "dp-sgd"))


def by_hand(row: Row, params: Tree, rows: Rows, how: DPSGD) -> Tree:
    """The clipped mean, row by row, each by the model's gradient of a batch of one."""
    total = tree.zeros_like(params, np.float64)
    for at in how.sample(len(rows)):
        gradient, _ = row.model.gradient(params, rows.take([at]))
        total = tree.add(total, tree.scale(tree.cast(gradient, np.float64), min(1, how.clip / tree.norm(gradient))))
    return tree.scale(total, 1 / (how.sampling_rate * len(rows)))


def test_models_of_every_framework_but_scikit_learn_are_private():
    assert {row.name for row in MODELS} - {row.name for row in PRIVATE} == {
        "torch averaged batch norm",
        *(row.name for row in MODELS if row.name.startswith("sklearn")),
    }


@under_dp
@pytest.mark.parametrize("clip", [0.4, 50.0])
def test_private_gradients_are_those_of_a_loop_over_rows(row, clip):
    """To 1e-6, whatever of them is clipped, over steps of Poisson samples of any size."""
    given = training(row, dp_sgd=dp_sgd(clip))
    params, loop = given.params, dp_sgd(clip)
    for _ in range(given.train.count(ROWS)):
        params = tree.like(tree.axpy(-0.05, by_hand(row, params, given.rows, loop), params), params)
    fit = row.model.fit(given)
    close(fit.params, params, 1e-6)
    assert (fit.rows, fit.steps, fit.lr_sum) == (ROWS, 7, pytest.approx(0.35))
    assert np.isnan(fit.loss)


@under_dp
def test_no_row_moves_a_private_step_by_more_than_the_clip_over_the_expected_size(row):
    train = replace(PLAIN, steps=1)
    rows = Rows(X, row.y)
    for at in range(0, ROWS, 9):
        far = Rows(np.where(np.arange(ROWS)[:, None] == at, 1e3 * X, X), row.y)
        start = training(row).params
        one, other = (
            row.model.fit(Training(params=start, rows=each, train=train, seed=1, dp_sgd=dp_sgd(rate=1)))
            for each in (rows, far)
        )
        moved = tree.norm(tree.sub(tree.cast(one.params, np.float64), tree.cast(other.params, np.float64)))
        assert moved <= 0.05 * 2 * 0.4 / ROWS * (1 + 1e-3) + 1e-7


@under_dp
def test_an_empty_sample_is_noised_all_the_same(row):
    given = replace(training(row, dp_sgd=dp_sgd(noise=1.0, rate=1e-12)), train=replace(PLAIN, steps=1))
    fit = row.model.fit(given)
    for path, leaf in tree.flatten(fit.params).items():
        assert (leaf != tree.flatten(given.params)[path]).all()


@under_dp
def test_private_noise_is_that_of_the_bytes_and_no_fit_is_run_together_with_others(row):
    given = [training(row, dp_sgd=dp_sgd(noise=1.0, seed=seed)) for seed in (1, 1, 2)]
    first, again, other = (row.model.fit(each).params for each in given)
    assert same(first, again)
    assert not same(first, other)
    assert row.model.fit_many([training(row, dp_sgd=dp_sgd(noise=1.0, seed=seed)) for seed in range(6)]) is None
