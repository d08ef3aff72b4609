"""DP-SGD on torch and numpy: modules that batches upset, rows that are not finite, and the two against each other."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

import comity as co
from comity.engine.repeatable import repeatable
from comity.frameworks.torch import single_rows
from comity.values import tree
from comity.values.dp_sgd import DPSGD
from comity.values.errors import NotSupported
from comity.values.model import Training

ROWS = 12
X = np.random.default_rng(1).normal(size=(ROWS, 4))
BINARY = (X[:, 0] > 0).astype(np.int64)
TRAIN = co.Train(optimizer=co.SGD(0.05), batch_size=4, steps=4)


def how(clip=0.4, noise=0.0, rate=0.5):
    return DPSGD(clip=clip, noise_multiplier=noise, sampling_rate=rate, random=repeatable(1, "test"))


def fit(model, x, y, **given):
    settings = {"params": model.init(1), "train": TRAIN, "seed": 1, "dp_sgd": how(), **given}
    return model.fit(Training(rows=co.Rows(x, y), **settings)).params


def by_hand(model, x, y, **given):
    """The same by gradients of batches of one, which plain training takes too."""
    params, dp, train = model.init(1), how(**given), TRAIN
    for _ in range(train.count(len(x))):
        total = tree.zeros_like(params, np.float64)
        for at in dp.sample(len(x)):
            gradient, _ = model.gradient(params, co.Rows(x[[at]], y[[at]]))
            total = tree.axpy(min(1, dp.clip / tree.norm(gradient)), tree.cast(gradient, np.float64), total)
        params = tree.like(tree.axpy(-0.05 / (0.5 * len(x)), total, params), params)
    return params


def close(one, other, tolerance=1e-6):
    for path, leaf in tree.flatten(one).items():
        np.testing.assert_allclose(leaf, tree.flatten(other)[path], atol=tolerance, rtol=0)


class Sequence(nn.Module):
    """A recurrent layer, which vmap does not know."""

    def __init__(self):
        super().__init__()
        self.recurrent = nn.LSTM(2, 3, batch_first=True)
        self.last = nn.Linear(3, 1)

    def forward(self, x):
        return self.last(self.recurrent(x)[0][:, -1])


class Remembering(nn.Module):
    """Adds to every row what it has seen before, so that one row's gradient would carry others."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x):
        self.seen += x.mean(0)
        return self.layer(x + self.seen)


class Centred(nn.Module):
    """Takes every row's distance from its batch's mean, which of one row is nothing."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer(x - x.mean(0))


def convolution():
    return nn.Sequential(nn.Conv2d(1, 2, 2), nn.GroupNorm(1, 2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize(
    ("net", "loss", "shape", "y"),
    [
        (Sequence, mse_loss, (ROWS, 2, 2), X[:, 0]),
        (Remembering, binary_cross_entropy_with_logits, (ROWS, 4), BINARY),
        (Centred, binary_cross_entropy_with_logits, (ROWS, 4), BINARY),
        (convolution, cross_entropy, (ROWS, 1, 2, 2), BINARY),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whatever_a_module_does_with_batches_a_row_is_a_batch_of_one(net, loss, shape, y):
    model = co.torch.Model(net, loss)
    x = X.reshape(shape)
    close(fit(model, x, y), by_hand(model, x, y))


def test_rows_are_taken_a_few_at_a_time_where_gradients_are_large(monkeypatch):
    model = co.torch.Model(lambda: nn.Linear(4, 1).double(), mse_loss)
    whole = fit(model, X, X[:, 0])
    monkeypatch.setattr(single_rows, "NUMBERS", 10)  # of 5 parameters: two rows
    close(fit(model, X, X[:, 0]), whole, 1e-12)


def test_dropout_differs_from_row_to_row():
    model = co.torch.Model(lambda: nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 1)), mse_loss)
    same = np.tile(X[:1], (ROWS, 1))
    with model._network(same) as network:
        network.load(model.init(1))
        grads = single_rows.single_rows(network, mse_loss)(network.features(same), torch.zeros(ROWS))
    assert len({row.numpy().tobytes() for row in grads[2]}) == ROWS


@pytest.mark.parametrize(
    "model",
    [
        co.numpy.Linear(4, "logistic"),
        co.numpy.Linear(4, "softmax", outputs=2),
        co.torch.Model(lambda: nn.Linear(4, 1), binary_cross_entropy_with_logits),
        co.numpy.Model(
            lambda generator: {"w": np.zeros(4)},
            lambda params, x, y: ({"w": x.T @ (x @ params["w"] - y)}, 0.0),
            lambda params, x: x @ params["w"],
        ),
    ],
    ids=["logistic", "softmax", "torch", "functions"],
)
@pytest.mark.filterwarnings("ignore:.*(overflow|invalid value):RuntimeWarning")
def test_a_row_whose_gradient_is_not_finite_counts_as_none(model):
    bad = np.vstack([X, np.full((1, 4), 1e300), np.full((1, 4), np.nan)])
    y = np.concatenate([BINARY, [1, 0]])
    without = fit(model, np.vstack([X, X[:2]]), y, dp_sgd=only(ROWS))
    close(fit(model, bad, y, dp_sgd=how(rate=1)), without)


def only(rows):
    """The first rows, each time, of two more: as if those counted as none."""

    class First:
        clip, noise_multiplier, sampling_rate = 0.4, 0.0, 1

        def __getattr__(self, name):
            return getattr(how(rate=1), name)

        def sample(self, count):
            return np.arange(rows)

    return First()


@pytest.mark.parametrize(
    "optimizer", [co.SGD(0.05, 0.9, 0.01, nesterov=True), co.Adam(0.01, weight_decay=0.1)], ids=str
)
def test_torch_and_numpy_train_the_same_private_model(optimizer):
    numpy = co.numpy.Linear(4, "logistic")
    torch = co.torch.Model(lambda: nn.Linear(4, 1).double(), binary_cross_entropy_with_logits)
    start, train = numpy.init(1), co.Train(optimizer=optimizer, batch_size=4, steps=9)
    ours = fit(numpy, X, BINARY, train=train)
    theirs = fit(torch, X, BINARY, train=train, params={"weight": start["weight"][None], "bias": start["bias"][None]})
    np.testing.assert_allclose(theirs["weight"][0], ours["weight"], rtol=1e-9)
    np.testing.assert_allclose(theirs["bias"][0], ours["bias"], rtol=1e-9)


def test_batch_norm_that_averages_its_statistics_is_refused_and_frozen_is_not():
    def net():
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))

    with pytest.raises(NotSupported, match="statistics tell of rows without any noise"):
        co.torch.Model(net, mse_loss, batch_norm="average").accepts_dp_sgd()
    frozen = co.torch.Model(net, mse_loss, batch_norm="freeze")
    frozen.accepts_dp_sgd()
    close(fit(frozen, X, X[:, 0]), by_hand(frozen, X, X[:, 0]))
