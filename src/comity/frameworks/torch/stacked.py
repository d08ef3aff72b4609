"""Many sites' local trainings at once: one forward pass over stacked parameters by `torch.func.vmap`.

Only the forward pass and the loss are vectorized. The gradient of the sum of the sites' losses by
the stacked parameters then holds every site's own gradient, since no site's loss depends on
another's parameters; this is faster than vectorizing the gradient too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]

from comity.frameworks.torch.added import added
from comity.frameworks.torch.loss import Loss, compare
from comity.frameworks.torch.network import Network
from comity.frameworks.torch.optimizer import Step, stepping
from comity.frameworks.torch.tensors import Prepare, Tensors, array, chunks, quiet
from comity.values import tree
from comity.values.model import Fit, Training
from comity.values.optimizer import SGD, Adam
from comity.values.tree import Tree

CONVOLUTIONS = (nn.modules.conv._ConvNd,)  # pyright: ignore[reportPrivateUsage]

FEWEST = 5
"""Sites from which on stacking pays: a step of vmap costs some 0.3 ms of calls, shared by all sites."""

LARGEST = 100_000
"""Parameters up to which stacking pays on a CPU.

Measured at 10 sites, stacked over one by one: 28 parameters .67, 4,290 .62, 49,794 .85, 159,010 1.19,
267,786 1.54, 2,119,690 2.04; convolutions (2,818 parameters) 1.43.
"""

One: TypeAlias = Callable[[Training], Fit]


def fit_stacked(
    network: Network, loss: Loss, trainings: Sequence[Training], prepare: Prepare, one: One
) -> list[Fit] | None:
    """The fits of these trainings in their order; None when stacking is not possible or would not be faster."""
    if not _pays(network):
        return None
    alike: dict[Any, list[int]] = {}
    for position, training in enumerate(trainings):
        alike.setdefault(_kind(training), []).append(position)
    fits: dict[int, Fit] = {}
    try:
        for group in alike.values():
            if len(group) >= FEWEST:
                made = _fit_group(network, loss, [trainings[position] for position in group], prepare)
                fits.update(zip(group, made, strict=True))
    except RuntimeError:  # an operation that vmap cannot vectorize, or one that draws random numbers
        return None
    return [fits.get(at) or one(training) for at, training in enumerate(trainings)] if fits else None


def _pays(network: Network) -> bool:
    """Whether the module can be stacked and its steps are short enough to gain from it.

    On a CPU a convolution over stacked filters is slower than one after the other, and once a step is
    mostly matrix products, stacked parameters only fall out of the cache.
    """
    parts = list(network.module.modules())
    if network.statistics or any(isinstance(part, _DropoutNd) and part.p > 0 for part in parts):
        return False
    if network.device.type != "cpu":
        return True
    small = sum(param.numel() for param in network.trained.values()) <= LARGEST
    return small and not any(isinstance(part, CONVOLUTIONS) for part in parts)


def _kind(training: Training) -> Any:
    """What trainings that can be stacked have in common; unique when it cannot be."""
    train, rows = training.train, training.rows
    if not isinstance(train.optimizer, SGD | Adam):
        return id(training)
    size, steps = train.size(len(rows)), train.count(len(rows))
    short = len(rows) if len(rows) % size and steps > len(rows) // size else 0
    shapes = rows.x.shape[1:], rows.x.dtype, rows.targets.shape[1:], rows.targets.dtype
    pull = training.pull
    return train, size, steps, short, shapes, training.correction is None, pull and pull.strength


def _fit_group(network: Network, loss: Loss, trainings: Sequence[Training], prepare: Prepare) -> list[Fit]:
    first = trainings[0]
    with quiet(first.seed, network.device):
        network.load(first.params)
        losses_of = _losses(network, loss)
        params = [param.requires_grad_() for param in _stack(network, [t.params for t in trainings])]
        take: Step | None = None
        lr_sum, losses = 0.0, list[Tensor]()
        for x, y in _stacked_batches(trainings, prepare):
            values = losses_of(params, x, y)  # (sites,)
            grads = torch.autograd.grad(values.sum(), params, allow_unused=True, materialize_grads=True)
            if take is None:
                params = [_laid_out_as(grad, param) for grad, param in zip(grads, params, strict=True)]
                take = _update(network, trainings, params)
            lr_sum += take(grads)
            losses.append(values.detach())
    means = torch.stack(losses).double().mean(0).tolist()
    fits: list[Fit] = []
    for position, training in enumerate(trainings):
        made = {name: array(param[position]) for name, param in zip(network.trained, params, strict=True)}
        tree.check(made, "the model after local training")
        fits.append(Fit(made, len(training.rows), len(losses), lr_sum, means[position]))
    return fits


def _losses(network: Network, loss: Loss) -> Callable[[list[Tensor], Tensor, Tensor], Tensor]:
    """Every site's loss (sites,) of stacked parameters, features and targets."""
    module, names = network.to_train(), list(network.trained)

    def one(values: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        return compare(loss, functional_call(module, dict(zip(names, values, strict=True)), (x,)), y)

    return vmap(one)


def _update(network: Network, trainings: Sequence[Training], params: Tensors) -> Step:
    """One step of all sites along their gradients, their corrections and pulls added."""
    pulls = [t.pull for t in trainings if t.pull]
    add = added(
        params,
        _stack(network, [t.correction for t in trainings if t.correction is not None]),
        _stack(network, [pull.to for pull in pulls]),
        pulls[0].strength if pulls else 0.0,
    )
    step = stepping(trainings[0].train.optimizer, params)
    return lambda grads: step(add(grads))


def _stacked_batches(trainings: Sequence[Training], prepare: Prepare) -> Iterator[tuple[Tensor, Tensor]]:
    """All sites' mini-batches of one step after the other: features and targets (sites, rows, ...)."""
    for parts in zip(*(chunks(t, prepare, len(trainings)) for t in trainings), strict=True):
        x, y, sizes = torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts]), parts[0][2]
        yield from zip(x.split(sizes, 1), y.split(sizes, 1), strict=True)


def _laid_out_as(grad: Tensor, param: Tensor) -> Tensor:
    """The parameter in its gradient's memory layout: updates of unlike layouts take ten times as long."""
    # empty_like keeps the layout of dense gradients only, so one that is broadcast does no harm.
    return torch.empty_like(grad, dtype=param.dtype).copy_(param.detach()).requires_grad_()


def _stack(network: Network, trees: Sequence[Tree]) -> list[Tensor]:
    """Per trained parameter the leaves of all trees (sites, ...), a copy; none for no trees."""
    if not trees:
        return []
    if all(each is trees[0] for each in trees):
        return [leaf.expand(len(trees), *leaf.shape).clone() for leaf in network.leaves(trees[0])]
    return [torch.stack(leaves) for leaves in zip(*(network.leaves(each) for each in trees), strict=True)]
