"""Numpy models against finite differences and against torch, which is written by others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

import comity as co
from comity.values import tree
from comity.values.errors import InvalidInput
from comity.values.model import Training
from comity.values.seed import batches, derive

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(30, 4))
TARGETS = {
    "squared": RANDOM.normal(size=30),
    "squared, two": RANDOM.normal(size=(30, 2)),
    "logistic": (RANDOM.random(30) > 0.4).astype(float),
    "logistic, two": (RANDOM.random((30, 2)) > 0.4).astype(float),
    "softmax": RANDOM.integers(0, 3, 30),
}
MODELS = {
    "squared": co.numpy.Linear(4),
    "squared, two": co.numpy.Linear(4, outputs=2),
    "logistic": co.numpy.Linear(4, loss="logistic"),
    "logistic, two": co.numpy.Linear(4, loss="logistic", outputs=2),
    "softmax": co.numpy.Linear(4, loss="softmax", outputs=3),
}
TORCH: dict[str, Callable[[Any, Any], Any]] = {
    "squared": lambda out, y: 0.5 * mse_loss(out[:, 0], y),
    "squared, two": lambda out, y: 0.5 * mse_loss(out, y),
    "logistic": lambda out, y: binary_cross_entropy_with_logits(out[:, 0], y),
    "logistic, two": lambda out, y: binary_cross_entropy_with_logits(out, y),
    "softmax": cross_entropy,
}
each_kind = pytest.mark.parametrize("kind", MODELS)


def rows(kind: str) -> co.Rows:
    return co.Rows(X, TARGETS[kind])


def some(kind: str) -> dict[str, Any]:
    generator = np.random.default_rng(9)
    return {name: generator.normal(size=leaf.shape) for name, leaf in MODELS[kind].init(0).items()}


def layer(kind: str, params: Any) -> nn.Linear:
    """The same layer in torch, in float64."""
    made = nn.Linear(4, MODELS[kind].outputs, dtype=torch.float64)
    with torch.no_grad():
        made.weight.copy_(torch.tensor(np.asarray(params["weight"]).T.reshape(made.weight.shape)))
        made.bias.copy_(torch.tensor(np.asarray(params["bias"]).reshape(made.bias.shape)))
    return made


def assert_same(params: Any, made: nn.Linear, atol: float) -> None:
    np.testing.assert_allclose(np.asarray(params["weight"]).T.ravel(), made.weight.detach().numpy().ravel(), atol=atol)
    np.testing.assert_allclose(np.asarray(params["bias"]).ravel(), made.bias.detach().numpy().ravel(), atol=atol)


@each_kind
def test_the_gradient_is_that_of_finite_differences(kind):
    model, params, step = MODELS[kind], some(kind), 1e-6
    gradient, _ = model.gradient(params, rows(kind))
    for name, leaf in params.items():
        for at in np.ndindex(leaf.shape):
            up, down = ({k: v.copy() for k, v in params.items()} for _ in range(2))
            up[name][at] += step
            down[name][at] -= step
            slope = (model.gradient(up, rows(kind))[1] - model.gradient(down, rows(kind))[1]) / (2 * step)
            assert gradient[name][at] == pytest.approx(slope, abs=1e-8)


@each_kind
def test_loss_and_gradient_are_torchs(kind):
    params = some(kind)
    made = layer(kind, params)
    loss = TORCH[kind](made(torch.tensor(X)), torch.tensor(TARGETS[kind]))
    loss.backward()
    gradient, ours = MODELS[kind].gradient(params, rows(kind))
    assert ours == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(gradient["weight"].T.ravel(), made.weight.grad.numpy().ravel(), atol=1e-12)
    np.testing.assert_allclose(np.ravel(gradient["bias"]), made.bias.grad.numpy(), atol=1e-12)


@each_kind
def test_predictions_are_probabilities_or_values(kind):
    params = some(kind)
    scores = layer(kind, params)(torch.tensor(X))
    squash = {"log": torch.sigmoid, "sof": lambda out: out.softmax(1), "squ": lambda out: out}[kind[:3]]
    wanted = squash(scores).detach().numpy()
    predictions = MODELS[kind].predict(params, X)
    assert predictions.shape == ((30,) if MODELS[kind].outputs == 1 else (30, MODELS[kind].outputs))
    np.testing.assert_allclose(predictions.reshape(wanted.shape), wanted, atol=1e-12)


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_large_scores_neither_overflow_nor_warn(loss):
    model = co.numpy.Linear(1, loss=loss, outputs=2 if loss == "softmax" else 1)
    params = {name: np.full_like(leaf, 1.0) for name, leaf in model.init(0).items()}
    if loss == "softmax":
        params["weight"] = np.array([[1.0, -1.0]])
    x, y = np.array([[1e4], [-1e4]]), np.array([1, 0])
    gradient, value = model.gradient(params, co.Rows(x, y))
    assert all(np.isfinite(leaf).all() for leaf in gradient.values())
    assert np.isfinite(value)
    predictions = model.predict(params, x)
    assert ((predictions >= 0) & (predictions <= 1)).all()


@pytest.mark.parametrize("features", [1, 2, 3, 7, 13, 16, 17, 39, 100, 784, 1024])
@pytest.mark.parametrize("outputs", [1, 2, 10])
@pytest.mark.parametrize("seed", [0, 42, 2**32 + 7, 2**63 - 1])
def test_it_begins_as_torchs_layer_to_the_bit(features, outputs, seed):
    params = co.numpy.Linear(features, outputs=outputs).init(seed)
    torch.manual_seed(seed)
    made = nn.Linear(features, outputs)
    ours = np.asarray(params["weight"]).T.reshape(outputs, features)
    assert np.array_equal(ours.astype(np.float32), made.weight.detach().numpy())
    assert np.array_equal(np.ravel(params["bias"]).astype(np.float32), made.bias.detach().numpy())
    assert ours.dtype == np.float64


def trained(kind: str, optimizer: Any, **more: Any) -> Any:
    train = co.Train(optimizer=optimizer, batch_size=8, steps=11)
    return MODELS[kind].fit(Training(params=some(kind), rows=rows(kind), train=train, seed=3, **more))


OPTIMIZERS: dict[str, tuple[Any, Callable[[Any], torch.optim.Optimizer]]] = {
    "SGD": (co.SGD(lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (co.SGD(lr=0.1, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "nesterov": (
        co.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    "Adam": (co.Adam(lr=0.05), lambda p: torch.optim.Adam(p, lr=0.05)),
    "AdamW": (co.Adam(lr=0.05, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1)),
}


@each_kind
@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_is_torchs_loop_over_the_same_batches(kind, ours, theirs):
    made = layer(kind, some(kind))
    optimizer, losses = theirs(made.parameters()), []
    for batch in batches(30, 8, 11, derive(3, "batches")):
        optimizer.zero_grad()
        loss = TORCH[kind](made(torch.tensor(X[batch])), torch.tensor(TARGETS[kind][batch]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    fit = trained(kind, ours)
    assert_same(fit.params, made, atol=1e-10)
    assert fit.loss == pytest.approx(np.mean(losses))
    assert (fit.rows, fit.steps) == (30, 11)
    assert fit.lr_sum == pytest.approx(11 * ours.lr)


@each_kind
def test_correction_and_pull_are_added_to_every_gradient(kind):
    correction = {name: np.full_like(leaf, 0.3) for name, leaf in some(kind).items()}
    to = {name: np.full_like(leaf, -1.0) for name, leaf in some(kind).items()}
    made = layer(kind, some(kind))
    for batch in batches(30, 8, 11, derive(3, "batches")):
        made.zero_grad()
        TORCH[kind](made(torch.tensor(X[batch])), torch.tensor(TARGETS[kind][batch])).backward()
        with torch.no_grad():
            for leaf in made.parameters():
                leaf -= 0.1 * (leaf.grad + 0.3 + 0.5 * (leaf + 1.0))
    fit = trained(kind, co.SGD(lr=0.1), correction=correction, pull=co.Pull(to, strength=0.5))
    assert_same(fit.params, made, atol=1e-12)


def test_training_leaves_what_it_was_given_alone():
    params = some("logistic")
    before = {name: leaf.copy() for name, leaf in params.items()}
    train = co.Train(optimizer=co.SGD(lr=0.1, momentum=0.5), steps=3)
    MODELS["logistic"].fit(Training(params=params, rows=rows("logistic"), train=train, seed=0))
    assert all(np.array_equal(params[name], before[name]) for name in params)


def net() -> nn.Module:
    return nn.Linear(4, 1)


@pytest.mark.parametrize("strategy", [co.FedAvg(), co.FedProx(mu=0.1), co.Scaffold()], ids=lambda s: type(s).__name__)
def test_federated_training_is_that_of_torch(strategy):
    y = TARGETS["logistic"]
    sites = [co.Site(name, (X[at::3], y[at::3]), (X[at::3], y[at::3])) for at, name in enumerate("ABC")]
    runs = [
        co.simulate(
            co.Experiment(
                model=model,
                train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=4, steps=5),
                strategy=strategy,
                metrics=[co.metrics.log_loss],
                rounds=5,
                seed=42,
            ),
            sites,
        )
        for model in (MODELS["logistic"], co.torch.Model(net, loss=binary_cross_entropy_with_logits))
    ]
    ours, theirs = runs[0].model, runs[1].model
    np.testing.assert_allclose(ours["weight"], theirs["weight"][0], atol=1e-6)
    np.testing.assert_allclose(ours["bias"], theirs["bias"][0], atol=1e-6)
    np.testing.assert_allclose(runs[0].series("log_loss")[1], runs[1].series("log_loss")[1], atol=1e-6)


# Models of the user's own functions


def nested_init(generator: np.random.Generator) -> Any:
    return {
        "below": {"w": generator.normal(size=(4, 2)), "deep": {"b": np.zeros(2)}},
        "above": generator.normal(size=2),
    }


def nested_forward(params: Any, x: Any) -> Any:
    return np.tanh(x @ params["below"]["w"] + params["below"]["deep"]["b"]) @ params["above"]


def nested_gradient(params: Any, x: Any, y: Any) -> Any:
    hidden = np.tanh(x @ params["below"]["w"] + params["below"]["deep"]["b"])
    error = (hidden @ params["above"] - y) / len(x)
    back = np.outer(error, params["above"]) * (1 - hidden**2)
    grads = {"below": {"w": x.T @ back, "deep": {"b": back.sum(0)}}, "above": hidden.T @ error}
    return grads, float(0.5 * len(x) * (error**2).sum())


NESTED = co.numpy.Model(nested_init, nested_gradient, nested_forward)


def test_nested_parameters_are_trained():
    params = NESTED.init(0)
    w, b, above = (
        torch.tensor(tree.flatten(params)[path], requires_grad=True) for path in ("below/w", "below/deep/b", "above")
    )
    optimizer = torch.optim.Adam([w, b, above], lr=0.05)
    for batch in batches(30, 8, 11, derive(3, "batches")):
        optimizer.zero_grad()
        out = torch.tanh(torch.tensor(X[batch]) @ w + b) @ above
        (0.5 * mse_loss(out, torch.tensor(TARGETS["squared"][batch]))).backward()
        optimizer.step()
    train = co.Train(optimizer=co.Adam(lr=0.05), batch_size=8, steps=11)
    fit = NESTED.fit(Training(params=params, rows=rows("squared"), train=train, seed=3))
    made = tree.flatten(fit.params)
    for path, leaf in (("below/w", w), ("below/deep/b", b), ("above", above)):
        np.testing.assert_allclose(made[path], leaf.detach().numpy(), atol=1e-10)


def test_own_functions_begin_by_the_seed():
    assert np.array_equal(NESTED.init(1)["above"], NESTED.init(1)["above"])
    assert not np.array_equal(NESTED.init(1)["above"], NESTED.init(2)["above"])


def test_dtypes_are_kept():
    def init(generator):
        return {"w": np.zeros(4, np.float32)}

    def gradient(params, x, y):
        return {"w": x.T @ (x @ params["w"] - y) / len(x)}, 0.0

    model = co.numpy.Model(init, gradient, lambda params, x: x @ params["w"])
    train = co.Train(optimizer=co.SGD(lr=0.1), steps=3)
    fit = model.fit(Training(params=model.init(0), rows=rows("squared"), train=train, seed=0))
    assert fit.params["w"].dtype == np.float32
    assert fit.params["w"].any()


BAD_ROWS = [
    ("squared", X[:, :3], TARGETS["squared"], "x has shape (30, 3) of float64 but the model takes numbers (n, 4)"),
    ("squared", X[0], TARGETS["squared"][:4], "x has shape (4,) of float64 but the model takes numbers (n, 4)"),
    ("squared", X.astype(str), TARGETS["squared"], "but the model takes numbers (n, 4)"),
    ("squared", X, TARGETS["squared"][:, None], "y has shape (30, 1) of float64 but Linear(features=4"),
    ("squared, two", X, TARGETS["squared"], "takes numbers (30, 2)"),
    ("logistic", X, TARGETS["softmax"], "logistic regression takes y of 0 and 1 only"),
    ("logistic", X, TARGETS["logistic"] * 2 - 1, "logistic regression takes y of 0 and 1 only"),
    ("logistic", X, TARGETS["logistic"].astype(str), "takes numbers (30,)"),
    ("softmax", X, TARGETS["softmax"] + 1, "softmax regression takes y of 0 to 2 only; give outputs= the classes"),
    ("softmax", X, TARGETS["softmax"] - 1, "softmax regression takes y of 0 to 2 only"),
    ("softmax", X, TARGETS["softmax"] + 0.5, "softmax regression takes y of 0 to 2 only"),
    ("logistic", X, None, "these rows have no targets y"),
]


@pytest.mark.parametrize(("kind", "x", "y", "sentence"), BAD_ROWS)
def test_rows_that_do_not_fit_are_refused(kind, x, y, sentence):
    train = co.Train(optimizer=co.SGD(lr=0.1), steps=1)
    for ask in (
        lambda: MODELS[kind].fit(Training(params=some(kind), rows=co.Rows(x, y), train=train, seed=0)),
        lambda: MODELS[kind].gradient(some(kind), co.Rows(x, y)),
    ):
        with pytest.raises(InvalidInput) as caught:
            ask()
        assert sentence in str(caught.value)


def test_features_that_do_not_fit_are_not_predicted():
    with pytest.raises(InvalidInput, match=r"x has shape \(2, 3\) of float64"):
        MODELS["logistic"].predict(some("logistic"), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"features": 0}, "features and outputs must be at least 1, not 0 and 1"),
        ({"outputs": 0}, "features and outputs must be at least 1, not 4 and 0"),
        ({"loss": "logstic"}, "did you mean 'logistic'?"),
        ({"loss": "softmax"}, "softmax needs at least 2 outputs"),
    ],
)
def test_models_that_cannot_be_are_refused(wrong, sentence):
    with pytest.raises(InvalidInput) as caught:
        co.numpy.Linear(**{"features": 4, **wrong})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("init", "gradient", "sentence"),
    [
        ({"w": [0.0] * 4}, None, "the model's initial parameters: 'w' is a list"),
        ({"w": np.zeros(4, int)}, None, "the initial parameter 'w' is of int64, which no gradient can move"),
        ({"w": np.full(4, np.nan)}, None, "the model's initial parameters: 'w' is not finite"),
        ({"w": np.zeros(4)}, {"v": np.zeros(4)}, "the gradient has arrays for ['v'], the parameters are ['w']"),
        ({"w": np.zeros(4)}, {"w": np.zeros(1)}, "the gradient of 'w' has shape (1,), not (4,)"),
        ({"w": np.zeros(4)}, {"w": np.full(4, np.inf)}, "the model after local training: 'w' is not finite"),
    ],
)
def test_own_functions_that_do_not_fit_are_refused(init, gradient, sentence):
    model = co.numpy.Model(lambda generator: init, lambda params, x, y: (gradient, 0.0), lambda params, x: x)
    train = co.Train(optimizer=co.SGD(lr=0.1), steps=2)
    with pytest.raises(InvalidInput) as caught:
        model.fit(Training(params=model.init(0), rows=rows("squared"), train=train, seed=0))
    assert sentence in str(caught.value)
