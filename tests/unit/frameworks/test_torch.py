"""The torch adapter, against torch's own optimizers and plain loops written out here."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    dropout,
    l1_loss,
    mse_loss,
    nll_loss,
    relu,
)

from comity.frameworks.torch import Model, Optimizer, Scheduler, stacked
from comity.values import tree
from comity.values.errors import InvalidInput, NotSupported
from comity.values.model import Ability, Pull, Train, Training
from comity.values.optimizer import SGD, Adam
from comity.values.rows import Rows
from comity.values.seed import batches, derive

GENERATOR = np.random.default_rng(7)
X = GENERATOR.normal(size=(23, 5))
Y = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(np.float64)
TRAIN = Train(optimizer=SGD(0.1), batch_size=4, steps=9)


def linear():
    return nn.Linear(5, 1)


def mlp():
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def batch_normed():
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))


def with_dropout():
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))


class Tied(nn.Module):
    """Encoder and decoder share one matrix."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(5, 5, bias=False)
        self.decode = nn.Linear(5, 5, bias=False)
        self.decode.weight = self.encode.weight

    def forward(self, x):
        return self.decode(torch.tanh(self.encode(x)))


class Viewing(nn.Module):
    """A view of a convolution's result, which torch refuses on images that lie channels last."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3)
        self.head = nn.Linear(2 * 4 * 4, 2)

    def forward(self, x):
        return self.head(relu(self.convolution(x)).view(len(x), -1))


def flattening():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2))


def logistic(loss=binary_cross_entropy_with_logits):
    return Model(linear, loss)


def training(model, *, train=TRAIN, x=X, y=Y, seed=3, **added):
    return Training(params=model.init(0), rows=Rows(x, y), train=train, seed=seed, **added)


def close(first, second, tolerance=1e-6):
    tree.same_paths(first, second)
    for path, leaf in tree.flatten(first).items():
        np.testing.assert_allclose(leaf, tree.flatten(second)[path], atol=tolerance, rtol=tolerance)


def by_hand(net, loss, optimizer, given, schedule=None):
    """The training written as in torch's tutorials."""
    module = net()
    module.load_state_dict({name: torch.from_numpy(leaf.copy()) for name, leaf in given.params.items()})
    running = optimizer(module.parameters())
    scheduler = schedule(running) if schedule else None
    size, steps = given.train.size(len(given.rows)), given.train.count(len(given.rows))
    lr_sum, losses = 0.0, []
    for batch in batches(len(given.rows), size, steps, derive(given.seed, "batches")):
        running.zero_grad()
        value = loss(module(torch.from_numpy(given.rows.x[batch]).float()), torch.from_numpy(given.rows.y[batch]))
        value.backward()
        lr_sum += running.param_groups[0]["lr"]
        running.step()
        if scheduler:
            scheduler.step()
        losses.append(value.item())
    return {name: leaf.numpy() for name, leaf in module.state_dict().items()}, lr_sum, np.mean(losses)


def squeezed(outputs, targets):
    return binary_cross_entropy_with_logits(outputs.flatten(), targets.float())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SGD(0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
        (
            SGD(0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
        ),
        (SGD(0.1, momentum=0.5), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5)),
        (Adam(0.01), lambda p: torch.optim.Adam(p, lr=0.01)),
        (Adam(0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        (Optimizer(torch.optim.RMSprop, lr=0.01), lambda p: torch.optim.RMSprop(p, lr=0.01)),
    ],
    ids=lambda value: "theirs" if callable(value) else str(value),
)
def test_training_is_that_of_torchs_own_optimizer(ours, theirs):
    given = training(logistic(), train=replace(TRAIN, optimizer=ours, steps=20))
    fit = logistic().fit(given)
    params, lr_sum, loss = by_hand(linear, squeezed, theirs, given)
    close(fit.params, params)
    assert (fit.rows, fit.steps) == (23, 20)
    assert fit.lr_sum == pytest.approx(lr_sum)
    assert fit.loss == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9, 0.01, nesterov=True), SGD(0.1, 0.5), Adam(0.1, weight_decay=0.1)])
def test_training_is_the_arithmetic_of_the_pure_optimizer(optimizer):
    model = logistic()
    given = training(model, train=replace(TRAIN, optimizer=optimizer))
    names = list(given.params)
    params = [np.asarray(leaf, np.float64) for leaf in given.params.values()]
    slots = optimizer.start(params)
    for count, batch in enumerate(batches(23, 4, 9, derive(3, "batches")), start=1):
        gradient, _ = model.gradient(dict(zip(names, params, strict=True)), given.rows.take(batch))
        params, slots = optimizer.step(params, [gradient[name] for name in names], slots, count)
    close(model.fit(given).params, dict(zip(names, params, strict=True)), 1e-5)


def test_a_schedule_steps_with_every_batch_and_counts_into_lr_sum():
    optimizer = Optimizer(
        torch.optim.SGD, lr=0.4, scheduler=Scheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    )
    given = training(logistic(), train=replace(TRAIN, optimizer=optimizer, steps=3))
    assert logistic().fit(given).lr_sum == pytest.approx(0.4 + 0.2 + 0.1)
    assert str(optimizer) == "Optimizer(SGD, lr=0.4, scheduler=Scheduler(StepLR, gamma=0.5, step_size=1))"


def test_an_optimizer_is_a_value_and_refuses_what_torch_would_refuse_later():
    adamw = Optimizer(torch.optim.AdamW, weight_decay=0.1, lr=0.01)
    assert adamw == Optimizer(torch.optim.AdamW, settings=(("lr", 0.01), ("weight_decay", 0.1)))
    assert hash(adamw) == hash(replace(adamw))
    with pytest.raises(InvalidInput, match="did you mean 'weight_decay'"):
        Optimizer(torch.optim.AdamW, weightdecay=0.1)
    with pytest.raises(InvalidInput, match="Invalid learning rate"):
        Optimizer(torch.optim.AdamW, lr=-1.0)
    with pytest.raises(InvalidInput, match="cannot take a step from a gradient alone"):
        Optimizer(torch.optim.LBFGS, lr=1.0)
    with pytest.raises(InvalidInput, match="give the optimizer's class"):
        Optimizer("AdamW", lr=1.0)
    with pytest.raises(NotSupported, match=r"co\.SGD, co\.Adam or co\.torch\.Optimizer, not with str"):
        logistic().accepts(replace(TRAIN, optimizer="sgd"))


def test_outputs_with_one_column_meet_flat_targets_without_broadcasting():
    x, y = X.astype(np.float32), Y.astype(np.float32)
    for loss in (binary_cross_entropy_with_logits, mse_loss, l1_loss):
        model = Model(linear, loss)
        params = model.init(0)
        score = x @ params["weight"][0] + params["bias"]
        want = float(loss(torch.from_numpy(score), torch.from_numpy(y)))
        for targets in (y, y[:, None], y.astype(int)):
            assert model.gradient(params, Rows(x, targets))[1] == pytest.approx(want, rel=1e-6)
    with pytest.raises(InvalidInput, match=r"outputs of shape \(23, 3\) with targets of shape \(23,\)"):
        Model(mlp, mse_loss).gradient(Model(mlp, mse_loss).init(0), Rows(x, y))


def test_class_losses_take_whole_numbers_of_any_type():
    model = Model(mlp, cross_entropy)
    labels = GENERATOR.integers(0, 3, 23)
    fits = [
        model.fit(training(model, y=labels.astype(kind))) for kind in (np.int64, np.int8, np.uint8, float, np.float32)
    ]
    for fit in fits:
        assert tree.flatten(fit.params)["0.weight"].tobytes() == fits[0].params["0.weight"].tobytes()
    assert model.fit(training(model, y=labels[:, None])).loss == fits[0].loss
    with pytest.raises(InvalidInput, match="class numbers"):
        model.fit(training(model, y=labels + 0.5))
    soft = np.eye(3)[labels]
    assert model.fit(training(model, y=soft)).loss == pytest.approx(fits[0].loss, rel=1e-6)


def masked(outputs, targets):
    known = ~targets.isnan()
    return binary_cross_entropy_with_logits(outputs[known], targets[known])


def test_targets_that_were_not_measured_reach_the_users_loss():
    y = np.where(GENERATOR.random((23, 3)) < 0.5, np.nan, 1.0)
    model = Model(mlp, masked)
    assert np.isfinite(model.fit(training(model, y=y)).loss)
    assert model.predict(model.init(0), X).shape == (23, 3)


def not_reduced(outputs, targets):
    return (outputs - targets) ** 2


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(InvalidInput, match="not_reduced gave shape"):
        logistic(not_reduced).fit(training(logistic(), y=Y[:, None]))


@pytest.mark.parametrize(
    ("net", "loss", "link"),
    [
        (linear, binary_cross_entropy_with_logits, torch.sigmoid),
        (mlp, cross_entropy, lambda z: torch.softmax(z, 1)),
        (linear, mse_loss, lambda z: z),
        (mlp, nll_loss, torch.exp),
    ],
)
def test_predictions_follow_from_the_loss(net, loss, link):
    model = Model(net, loss)
    x = np.tile(X, (100, 1))  # more than one chunk
    params = model.init(1)
    module = net()
    module.load_state_dict({name: torch.from_numpy(leaf.copy()) for name, leaf in params.items()})
    with torch.no_grad():
        want = link(module(torch.from_numpy(x).float()).double()).numpy()
    got = model.predict(params, x)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, want[:, 0] if want.shape[1] == 1 else want, rtol=1e-5)


def test_an_activation_of_ones_own_replaces_the_losss():
    model = Model(linear, mse_loss, activation=torch.exp)
    plain = Model(linear, mse_loss)
    np.testing.assert_allclose(model.predict(model.init(0), X), np.exp(plain.predict(plain.init(0), X)))


def test_batch_norm_needs_a_policy():
    with pytest.raises(InvalidInput, match=r"'1'.*batch_norm='average'.*batch_norm='freeze'"):
        Model(batch_normed, binary_cross_entropy_with_logits)
    with pytest.raises(InvalidInput, match="did you mean 'average'"):
        Model(batch_normed, binary_cross_entropy_with_logits, batch_norm="avarage")
    with pytest.raises(InvalidInput, match="has no batch norm"):
        Model(linear, binary_cross_entropy_with_logits, batch_norm="freeze")


def test_averaged_batch_norm_carries_its_running_statistics():
    model = Model(batch_normed, binary_cross_entropy_with_logits, batch_norm="average")
    given = training(model)
    assert {"1.running_mean", "1.running_var"} < set(given.params)
    assert "1.num_batches_tracked" not in given.params
    fit = model.fit(given)
    theirs = given.params | {"1.num_batches_tracked": np.array(0)}
    params, _, _ = by_hand(batch_normed, squeezed, lambda p: torch.optim.SGD(p, lr=0.1), replace(given, params=theirs))
    del params["1.num_batches_tracked"]
    close(fit.params, params)
    assert Ability.GRADIENT_STEPS not in model.can
    with pytest.raises(NotSupported, match="running statistics"):
        model.gradient(given.params, given.rows)


def test_frozen_batch_norm_is_never_updated():
    model = Model(batch_normed, binary_cross_entropy_with_logits, batch_norm="freeze")
    given = training(model)
    assert not any("running" in name for name in given.params)
    fit = model.fit(given)
    module = batch_normed().eval()  # running mean 0 and variance 1
    module.load_state_dict({name: torch.from_numpy(leaf.copy()) for name, leaf in fit.params.items()}, strict=False)
    with torch.no_grad():
        want = torch.sigmoid(module(torch.from_numpy(X).float()).double())[:, 0].numpy()
    np.testing.assert_allclose(model.predict(fit.params, X), want, rtol=1e-6)
    close(model.fit(given).params, fit.params, 0)


def test_shared_parameters_are_one():
    model = Model(Tied, mse_loss)
    given = training(model, y=X)
    assert set(given.params) == {"encode.weight"}
    weight = torch.from_numpy(given.params["encode.weight"].copy()).requires_grad_()
    for batch in batches(23, 4, 9, derive(3, "batches")):
        x = torch.from_numpy(X[batch]).float()
        (gradient,) = torch.autograd.grad(mse_loss(torch.tanh(x @ weight.T) @ weight.T, x), weight)
        weight = (weight - 0.1 * gradient).detach().requires_grad_()
    np.testing.assert_allclose(model.fit(given).params["encode.weight"], weight.detach().numpy(), atol=1e-6)


def test_randomness_follows_from_the_seed_and_leaves_torchs_alone():
    model = Model(with_dropout, binary_cross_entropy_with_logits)
    given = training(model)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = model.fit(given)
    np.random.default_rng(0)
    torch.rand(3)
    second = model.fit(given)
    torch.manual_seed(5)
    model.init(3), model.fit(given), model.predict(given.params, X), model.gradient(given.params, given.rows)
    assert torch.equal(torch.get_rng_state(), state)
    for name, leaf in first.params.items():
        assert leaf.tobytes() == second.params[name].tobytes()
    other = model.fit(replace(given, seed=4))
    assert tree.norm(tree.sub(other.params, first.params)) > 0


def test_one_thread_during_training_and_as_before_afterwards():
    seen = []

    def watched(outputs, targets):
        seen.append(torch.get_num_threads())
        return squeezed(outputs, targets)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        model = Model(linear, watched)
        model.fit(training(model))
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("net", "layout"), [(Viewing, torch.contiguous_format), (flattening, torch.channels_last)])
def test_images_train_in_the_layout_that_the_code_allows(net, layout):
    model = Model(net, cross_entropy)
    x = GENERATOR.normal(size=(10, 1, 6, 6))
    given = training(model, x=x, y=np.arange(10) % 2)
    fit = model.fit(given)
    assert model.idle[0].layout is layout
    params, _, _ = by_hand(net, cross_entropy, lambda p: torch.optim.SGD(p, lr=0.1), given)
    close(fit.params, params)
    assert all(leaf.flags.c_contiguous for leaf in fit.params.values())
    assert model.predict(fit.params, x).shape == (10, 2)


def test_read_only_and_reversed_arrays_are_taken_and_not_written():
    model = logistic()
    given = training(model, x=X[::-1], y=Y[::-1])
    for leaf in given.params.values():
        leaf.flags.writeable = False
    before = {name: leaf.copy() for name, leaf in given.params.items()}
    model.fit(given)
    close(given.params, before, 0)


def test_weights_that_are_not_finite_are_an_error():
    with pytest.raises(InvalidInput, match=r"after local training: 'weight' is not finite; lower the learning rate"):
        Model(linear, mse_loss).fit(training(logistic(), train=replace(TRAIN, optimizer=SGD(1e20), steps=50)))


def untrained():
    return nn.ReLU()


def lazy():
    return nn.LazyLinear(1)


def half():
    return nn.Linear(5, 1, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("net", "loss", "message"),
    [
        (nn.Linear(5, 1), mse_loss, "write def net"),
        (linear, nn.MSELoss(), "loss must be a function .* not a MSELoss"),
        (untrained, mse_loss, "no parameters to train"),
        (lambda: 3, mse_loss, "must return a torch.nn.Module, but it gave an int"),
        (half, mse_loss, "torch.bfloat16"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_construction(net, loss, message):
    with pytest.raises(InvalidInput, match=message):
        Model(net, loss)


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_layers_are_refused():
    with pytest.raises(InvalidInput, match="lazy layers"):
        Model(lazy, mse_loss)


def test_parameters_of_another_model_are_refused():
    model = logistic()
    with pytest.raises(InvalidInput, match="not this module's"):
        model.predict({"weight": np.zeros((1, 5))}, X)
    with pytest.raises(InvalidInput, match=r"'weight' has shape \(1, 4\)"):
        model.predict({"weight": np.zeros((1, 4)), "bias": np.zeros(1)}, X)


def frozen_trunk():
    net = mlp()
    net[0].requires_grad_(False)
    return net


def test_parameters_without_gradient_are_constants_of_the_net():
    model = Model(frozen_trunk, cross_entropy)
    assert set(model.init(0)) == {"2.weight", "2.bias"}
    given = training(model, y=np.arange(23) % 3)
    close(model.fit(given).params, Model(frozen_trunk, cross_entropy).fit(given).params, 0)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(10, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.embedding(x))


def test_embeddings_get_integers():
    model = Model(Words, binary_cross_entropy_with_logits)
    x = GENERATOR.integers(0, 10, (23, 6)).astype(np.int32)
    assert model.predict(model.fit(training(model, x=x)).params, x).shape == (23,)


def test_the_device_must_exist():
    assert logistic().on("cpu") == logistic()
    with pytest.raises(NotSupported, match="'cpu' or 'cuda', not on 'tpu'"):
        logistic().on("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(NotSupported, match="no CUDA device"):
            logistic().on("cuda")


def sites(model, count, rows=23, **added):
    generator = np.random.default_rng(1)
    return [
        training(
            model,
            x=generator.normal(size=(rows, 5)),
            y=generator.integers(0, 2, rows),
            seed=seed,
            **{name: value(seed) for name, value in added.items()},
        )
        for seed in range(count)
    ]


def assert_same_fits(model, trainings, monkeypatch=None):
    together = model.fit_many(trainings)
    assert together is not None
    for fit, given in zip(together, trainings, strict=True):
        alone = model.fit(given)
        close(fit.params, alone.params, 2e-5)
        assert (fit.rows, fit.steps, fit.lr_sum) == (alone.rows, alone.steps, alone.lr_sum)
        assert fit.loss == pytest.approx(alone.loss, rel=1e-5)


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, 0.9, 0.01), Adam(0.01)], ids=str)
@pytest.mark.parametrize("net", [linear, batch_normed])
def test_sites_trained_together_are_trained_as_alone(optimizer, net):
    model = Model(net, binary_cross_entropy_with_logits, batch_norm="freeze" if net is batch_normed else None)
    train = replace(TRAIN, optimizer=optimizer, steps=20)
    assert_same_fits(model, [replace(t, train=train) for t in sites(model, 6)])


def test_corrections_and_pulls_are_stacked_too():
    model = Model(mlp, cross_entropy)
    assert_same_fits(
        model,
        sites(
            model,
            5,
            correction=lambda seed: tree.scale(model.init(seed), 0.1),
            pull=lambda seed: Pull(model.init(seed + 10), 0.5),
        ),
    )


def test_unlike_sites_are_trained_in_groups():
    model = logistic()
    assert_same_fits(model, [t for pair in zip(sites(model, 5), sites(model, 5, rows=17), strict=True) for t in pair])
    assert model.fit_many([t for rows in range(10, 15) for t in sites(model, 1, rows=rows)]) is None


def random_in_forward(outputs, targets):
    return squeezed(dropout(outputs), targets)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 1)

    def forward(self, x):
        return self.inner(x) if x.sum() > 0 else -self.inner(x)


def test_what_cannot_be_stacked_is_left_to_single_fits():
    for model in (
        Model(with_dropout, binary_cross_entropy_with_logits),
        Model(linear, random_in_forward),
        Model(Branching, binary_cross_entropy_with_logits),
        Model(batch_normed, binary_cross_entropy_with_logits, batch_norm="average"),
    ):
        assert model.fit_many(sites(model, 6)) is None
    model = logistic()
    assert model.fit_many(sites(model, stacked.FEWEST - 1)) is None
    theirs = replace(TRAIN, optimizer=Optimizer(torch.optim.SGD, lr=0.1))
    assert model.fit_many([replace(t, train=theirs) for t in sites(model, 6)]) is None


def test_batches_are_those_of_every_framework():
    seen = []

    def watched(outputs, targets):
        seen.append(targets.detach().numpy().copy())
        return squeezed(outputs, targets)

    model = Model(linear, watched)
    y = np.arange(23, dtype=np.float32)
    model.fit(training(model, y=y))
    want = islice(batches(23, 4, 9, derive(3, "batches")), 9)
    for got, batch in zip(seen, want, strict=True):
        np.testing.assert_array_equal(got, y[batch])


def test_features_of_another_shape_are_said_to_be():
    made = Model(lambda: nn.Linear(4, 1), loss=mse_loss)
    params, x = made.init(0), np.zeros((5, 3))
    training = Training(params=params, rows=Rows(x, np.zeros(5)), train=Train(optimizer=SGD(lr=0.1), steps=1), seed=0)
    for ask in (
        lambda: made.predict(params, x),
        lambda: made.fit(training),
        lambda: made.gradient(params, training.rows),
    ):
        with pytest.raises(InvalidInput, match=r"net\(\) does not take x of shape \(5, 3\): .*cannot be multiplied"):
            ask()


def test_a_loss_is_a_function_that_gives_a_tensor():
    with pytest.raises(InvalidInput, match=r"loss must be a function .* not the class BCEWithLogitsLoss"):
        Model(lambda: nn.Linear(3, 1), loss=nn.BCEWithLogitsLoss)
    made = Model(lambda: nn.Linear(3, 1), loss=lambda outputs, y: outputs.sum().item())
    with pytest.raises(InvalidInput, match="gave a float; a loss is a tensor, so that it has a gradient"):
        made.gradient(made.init(0), Rows(np.zeros((5, 3)), np.zeros(5)))
