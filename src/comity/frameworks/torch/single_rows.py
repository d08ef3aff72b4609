"""Gradients of single rows by `torch.func`, clipped, summed and noised: what DP-SGD steps along.

A row goes through the module as a batch of one, whatever the module does with batches, so its gradient is that of its
own loss; and with the module's buffers as they were before the first row, so that none carries what another row left.
"""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from comity.frameworks.torch.loss import Loss, compare, targets
from comity.frameworks.torch.network import Network, outputs
from comity.frameworks.torch.tensors import Tensors, array
from comity.values.dp_sgd import DPSGD
from comity.values.model import Training

NUMBERS = 2**24
"""Single rows' gradients are held at a time, all together."""

OfRows: TypeAlias = Callable[[Tensor, Tensor], Tensors]
"""Of features (k, ...) and targets (k, ...), per parameter the gradients (k, *shape)."""


def noised(how: DPSGD, training: Training, network: Network, loss: Loss) -> Iterator[Tensors]:
    """For each step, the gradient to step along, at the parameters as they are then."""
    rows, params = training.rows, list(network.trained.values())
    x, y = network.features(rows.x), targets(loss, rows.targets, network.dtype, network.device)
    of_rows = single_rows(network, loss)
    most = max(1, NUMBERS // sum(param.numel() for param in params))
    for _ in range(training.train.count(len(rows))):
        sample = torch.from_numpy(how.sample(len(rows))).to(network.device)
        sums = [torch.zeros_like(param, dtype=torch.float64) for param in params]
        for part in sample.split(most) if len(sample) else ():
            for total, clipped in zip(sums, _clipped(how, of_rows(x[part], y[part])), strict=True):
                total += clipped
        named = dict(zip(network.trained, map(array, sums), strict=True))
        yield network.leaves(how.mean(named, len(rows)))


def single_rows(network: Network, loss: Loss) -> OfRows:
    """How to get the gradients of single rows: all at once, or one by one where the module's operations need it."""
    module, names = network.to_train(), list(network.trained)
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}

    def one(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        state = {**params, **{name: buffer.clone() for name, buffer in buffers.items()}}
        return compare(loss, functional_call(module, state, (x.unsqueeze(0),)), y.unsqueeze(0))

    every = vmap(grad(one), in_dims=(None, 0, 0), randomness="different")
    vectorized = not any(isinstance(part, nn.RNNBase) for part in module.modules())  # whose rules vmap lacks

    def of_rows(x: Tensor, y: Tensor) -> Tensors:
        nonlocal vectorized
        params = {name: param.detach() for name, param in network.trained.items()}
        if vectorized:
            try:
                found = every(params, x, y)
                return [found[name] for name in names]
            except RuntimeError:  # an operation that vmap does not know, or a buffer that is written into
                outputs(module, x[:1])  # which says what is wrong with the features, if that is it
                vectorized = False
        singly = [grad(one)(params, x[at], y[at]) for at in range(len(x))]
        return [torch.stack([each[name] for each in singly]) for name in names]

    return of_rows


def _clipped(how: DPSGD, grads: Tensors) -> Iterator[Tensor]:
    """Per parameter the sum over rows of their gradients, each scaled by one factor for all parameters."""
    norms = torch.stack([torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1, dtype=torch.float64) for g in grads])
    factors = torch.from_numpy(how.factors(array(torch.linalg.vector_norm(norms, dim=0)))).to(grads[0].device)
    counted = factors > 0  # what is not finite times 0 is not 0
    for each in grads:
        yield torch.tensordot(factors[counted], each[counted].double(), dims=1)
