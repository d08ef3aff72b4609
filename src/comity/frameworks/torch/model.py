"""Any torch module as a model that sites train together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from math import nan
from typing import final
from zlib import crc32

import torch
from torch import Tensor, nn

from comity.frameworks.torch.added import added
from comity.frameworks.torch.loss import Activation, Loss, activation, compare, targets
from comity.frameworks.torch.network import BatchNorm, Net, Network, build, outputs
from comity.frameworks.torch.optimizer import check, plain, stepping
from comity.frameworks.torch.single_rows import noised
from comity.frameworks.torch.stacked import fit_stacked
from comity.frameworks.torch.tensors import array, minibatches, quiet
from comity.values import model as floor
from comity.values import tree
from comity.values.errors import InvalidInput, NotSupported, unknown
from comity.values.model import Ability, Fit, Train, Training
from comity.values.rows import Rows
from comity.values.seed import derive
from comity.values.tree import Array, Tree

PREDICT_ROWS = 1024
"""Rows that are predicted at a time."""


@final
@dataclass(frozen=True)
class Model(floor.Model):
    """A torch module, made by `net()`, and the loss it is trained with.

    Parameters are the module's, by their names in its state_dict; those that require no gradient are
    constants, as are buffers: what `net()` gives under one fixed seed. Features arrive as the
    module's floats (n, ...), or as int64 when they are integers and the module embeds them.

    net: a top-level function, or a module's class, called without arguments.
    loss: f(outputs, targets) -> mean over the rows; one of torch.nn.functional or your own. Class
    losses get targets as int64, others as floats, your own integers as int64. Outputs (n, 1) meet
    targets (n,) as (n,).

    Raises InvalidInput, in one sentence, for a net or loss that cannot be trained so.

    >>> from torch.nn.functional import mse_loss
    >>> Model(nn.Identity, loss=mse_loss)
    Traceback (most recent call last):
    comity.values.errors.InvalidInput: net() has no parameters to train
    """

    net: Net
    loss: Loss
    _: KW_ONLY
    batch_norm: BatchNorm = None
    """"average": running statistics are averaged like parameters; "freeze": never updated, used in training too."""
    activation: Activation | None = None
    """From outputs to predictions; by default the loss's own: sigmoid, softmax, or none."""
    device: str = "cpu"
    idle: list[Network] = field(init=False, repr=False, compare=False, default_factory=list[Network])
    """Networks built and not in use: building one takes longer than many a fit."""

    def __post_init__(self) -> None:
        if isinstance(self.net, nn.Module) or not callable(self.net):
            kind = type(self.net).__name__
            raise InvalidInput(
                f"net must be a function that returns a module, not a {kind}; write def net(): return ..."
            )
        if isinstance(self.loss, nn.Module) or not callable(self.loss):
            kind = type(self.loss).__name__
            raise InvalidInput(f"loss must be a function such as torch.nn.functional.cross_entropy, not a {kind}")
        if isinstance(self.loss, type):
            name = self.loss.__name__
            raise InvalidInput(
                f"loss must be a function such as torch.nn.functional.cross_entropy, not the class {name}"
            )
        if self.batch_norm not in (None, "average", "freeze"):
            raise unknown("batch-norm policy", self.batch_norm, ("average", "freeze"))
        self.idle.append(self._build())

    @property
    def can(self) -> frozenset[Ability]:
        # Running statistics do not move by gradients.
        apart = {Ability.GRADIENT, Ability.GRADIENT_STEPS} if self.batch_norm == "average" else frozenset[Ability]()
        return frozenset(Ability) - apart

    def accepts(self, train: Train) -> frozenset[Ability]:
        check(train.optimizer)
        return self.can if plain(train.optimizer) else self.can - {Ability.GRADIENT_STEPS}

    def init(self, seed: int) -> Tree:
        return self._build(seed).tree()

    def fit(self, training: Training) -> Fit:
        self.accepts(training.train)
        rows = training.rows
        with self._network(rows.x) as network, quiet(derive(training.seed, "torch"), network.device):
            network.load(training.params)
            module, loss = network.to_train(), self.loss
            params = list(network.trained.values())
            step = stepping(training.train.optimizer, params)
            pull, private = training.pull, training.dp_sgd
            add = added(
                params,
                network.leaves(training.correction),
                network.leaves(pull.to if pull else None),
                pull.strength if pull else 0.0,
            )
            lr_sum, losses = 0.0, list[Tensor]()
            if private is not None:
                for grads in noised(private, training, network, self.loss):
                    lr_sum += step(add(grads))
                    losses.append(torch.tensor(nan))
            for x, y in minibatches(training, self._prepare(network)) if private is None else ():
                value = compare(loss, outputs(module, x), y)
                grads = torch.autograd.grad(value, params, allow_unused=True, materialize_grads=True)
                lr_sum += step(add(grads))
                losses.append(value.detach())
            made = network.tree()
        tree.check(made, "the model after local training")
        return Fit(made, len(rows), len(losses), lr_sum, float(torch.stack(losses).double().mean()))

    def gradient(self, params: Tree, rows: Rows) -> tuple[Tree, float]:
        """Gradient of the mean loss over these rows, and that loss; dropout follows from a checksum of the rows.

        Raises NotSupported when running statistics are averaged: a gradient does not move them.
        """
        if self.batch_norm == "average":
            raise NotSupported(
                "single gradients do not update batch norm's running statistics; say batch_norm='freeze'"
            )
        seed = crc32(rows.x.tobytes())
        with self._network(rows.x) as network, quiet(seed, network.device):
            network.load(params)
            x, y = self._prepare(network)(rows)
            value = compare(self.loss, outputs(network.to_train(), x), y)
            grads = torch.autograd.grad(
                value, list(network.trained.values()), allow_unused=True, materialize_grads=True
            )
            return {name: array(grad) for name, grad in zip(network.trained, grads, strict=True)}, float(value.detach())

    def accepts_dp_sgd(self) -> None:
        if self.batch_norm == "average":
            raise NotSupported(
                "batch norm's running statistics tell of rows without any noise, so RecordDP does not go with "
                "batch_norm='average'; take group norm instead, or say batch_norm='freeze'"
            )

    def predict(self, params: Tree, x: Array) -> Array:
        with self._network(x) as network, quiet(0, network.device), torch.inference_mode():
            network.load(params)
            module = network.module.eval()
            batches = (x[at : at + PREDICT_ROWS] for at in range(0, len(x), PREDICT_ROWS))
            raw = torch.cat([outputs(module, network.features(batch)) for batch in batches]).double()
            predictions = array((self.activation or activation(self.loss))(raw))
        return predictions[:, 0] if predictions.ndim == 2 and predictions.shape[1] == 1 else predictions

    def fit_many(self, trainings: Sequence[Training]) -> list[Fit] | None:
        if any(training.dp_sgd is not None for training in trainings):
            return None
        with self._network(trainings[0].rows.x) as network:
            return fit_stacked(network, self.loss, trainings, self._prepare(network), self.fit)

    def on(self, device: str) -> Model:
        kind = device.partition(":")[0]
        if kind not in ("cpu", "cuda"):
            raise NotSupported(f"a torch model runs on 'cpu' or 'cuda', not on {device!r}")
        if kind == "cuda" and not torch.cuda.is_available():
            raise NotSupported("this machine has no CUDA device that torch can use; run on 'cpu'")
        return self if device == self.device else replace(self, device=device)

    def _build(self, seed: int = 0) -> Network:
        return build(self.net, self.batch_norm, seed=seed, device=self.device)

    @contextmanager
    def _network(self, x: Array) -> Generator[Network, None, None]:
        """A network that nobody else uses meanwhile, laid out for such features."""
        network = (self.idle.pop() if self.idle else self._build()).seeing(x)
        try:
            yield network
        finally:
            self.idle.append(network)

    def _prepare(self, network: Network) -> Callable[[Rows], tuple[Tensor, Tensor]]:
        def prepare(rows: Rows) -> tuple[Tensor, Tensor]:
            return network.features(rows.x), targets(self.loss, rows.targets, network.dtype, network.device)

        return prepare
