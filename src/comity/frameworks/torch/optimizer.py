"""Optimizer steps in place on lists of tensors: our own without optimizer objects, and torch's."""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from comity.frameworks.torch.tensors import Tensors
from comity.values.errors import InvalidInput, NotSupported, unknown
from comity.values.optimizer import SGD, Adam

Settings: TypeAlias = tuple[tuple[str, Any], ...]
"""Names and values, in the order of the names."""

Step: TypeAlias = Callable[[Tensors], float]
"""Takes one step along these gradients and gives the learning rate it used."""


@final
@dataclass(frozen=True, init=False, repr=False)
class Scheduler:
    """A learning-rate scheduler of torch's, stepped after every mini-batch; it begins anew in every round.

    >>> Scheduler(torch.optim.lr_scheduler.StepLR, step_size=10, gamma=0.5)
    Scheduler(StepLR, gamma=0.5, step_size=10)
    """

    kind: type
    settings: Settings = ()

    def __init__(self, kind: type, settings: Any = (), **keywords: Any) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "settings", _settings(kind, settings, keywords))

    def __repr__(self) -> str:
        return f"Scheduler({_text(self.kind, self.settings)})"


@final
@dataclass(frozen=True, init=False, repr=False)
class Optimizer:
    """An optimizer of torch's with its settings; it begins anew in every round.

    Raises InvalidInput for settings that the class does not have or does not take.

    >>> Optimizer(torch.optim.AdamW, lr=0.001, weight_decay=0.01)
    Optimizer(AdamW, lr=0.001, weight_decay=0.01)
    """

    kind: type
    settings: Settings = ()
    """Sorted by name, so that equal optimizers are equal; given as keywords."""
    scheduler: Scheduler | None = field(default=None)

    def __init__(self, kind: type, settings: Any = (), scheduler: Scheduler | None = None, **keywords: Any) -> None:
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
            raise InvalidInput(f"give the optimizer's class, e.g. torch.optim.AdamW, and its settings, not {kind!r}")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "settings", _settings(kind, settings, keywords))
        object.__setattr__(self, "scheduler", scheduler)
        _try(self)

    def __repr__(self) -> str:
        scheduler = f", scheduler={self.scheduler}" if self.scheduler else ""
        return f"Optimizer({_text(self.kind, self.settings)}{scheduler})"


def plain(optimizer: Any) -> bool:
    """Whether its steps are the learning rate times the gradient (weight decay being part of the loss)."""
    if isinstance(optimizer, Optimizer):
        return optimizer.kind is torch.optim.SGD and not dict(optimizer.settings).get("momentum")
    return isinstance(optimizer, SGD) and not optimizer.momentum


def check(optimizer: Any) -> None:
    """Raises NotSupported unless this is an optimizer that torch models train with."""
    if not isinstance(optimizer, SGD | Adam | Optimizer):
        raise NotSupported(
            f"a torch model trains with co.SGD, co.Adam or co.torch.Optimizer, not with {type(optimizer).__name__}"
        )


def stepping(optimizer: Any, params: Tensors) -> Step:
    """How to step these parameters (leaves that require gradients), in place, from the optimizer's start."""
    if isinstance(optimizer, Optimizer):
        return _torch_step(optimizer, params)
    # Views without history: writing into them is no operation for autograd to record.
    values = [param.detach() for param in params]
    return _sgd(optimizer, values) if isinstance(optimizer, SGD) else _adam(optimizer, values)


def _sgd(sgd: SGD, params: list[Tensor]) -> Step:
    velocity = [torch.zeros_like(p) for p in params] if sgd.momentum else []

    def step(grads: Tensors) -> float:
        # Gradients may share memory with one another, so they are never written into.
        if sgd.weight_decay:
            grads = torch._foreach_add(grads, params, alpha=sgd.weight_decay)
        if sgd.momentum:
            torch._foreach_mul_(velocity, sgd.momentum)
            torch._foreach_add_(velocity, grads)
            grads = torch._foreach_add(grads, velocity, alpha=sgd.momentum) if sgd.nesterov else velocity
        torch._foreach_add_(params, grads, alpha=-sgd.lr)
        return sgd.lr

    return step


def _adam(adam: Adam, params: list[Tensor]) -> Step:
    first = [torch.zeros_like(p) for p in params]
    second = [torch.zeros_like(p) for p in params]
    count = 0

    def step(grads: Tensors) -> float:
        nonlocal count
        count += 1
        torch._foreach_mul_(first, adam.beta1)
        torch._foreach_add_(first, grads, alpha=1 - adam.beta1)
        torch._foreach_mul_(second, adam.beta2)
        torch._foreach_addcmul_(second, grads, grads, 1 - adam.beta2)
        scale = torch._foreach_sqrt(second)
        torch._foreach_mul_(scale, (1 - adam.beta2**count) ** -0.5)
        torch._foreach_add_(scale, adam.epsilon)
        if adam.weight_decay:
            torch._foreach_mul_(params, 1 - adam.lr * adam.weight_decay)
        torch._foreach_addcdiv_(params, first, scale, -adam.lr / (1 - adam.beta1**count))
        return adam.lr

    return step


def _torch_step(optimizer: Optimizer, params: Tensors) -> Step:
    running = optimizer.kind(list(params), **dict(optimizer.settings))
    scheduler = optimizer.scheduler
    schedule = scheduler.kind(running, **dict(scheduler.settings)) if scheduler else None

    def step(grads: Tensors) -> float:
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        lr = float(running.param_groups[0]["lr"])
        running.step()
        if schedule is not None:
            schedule.step()
        return lr

    return step


def _try(optimizer: Optimizer) -> None:
    """Raises InvalidInput unless one step works: settings may be bad, and some classes need closures or metrics."""
    param = torch.zeros(1, 1, requires_grad=True)
    try:
        _torch_step(optimizer, [param])([torch.ones(1, 1)])
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{optimizer} cannot take a step from a gradient alone: {error}") from error


def _settings(kind: type, given: Mapping[str, Any] | Iterable[tuple[str, Any]], keywords: dict[str, Any]) -> Settings:
    settings = {**dict(given), **keywords}
    known = list(signature(kind).parameters)[1:]  # the first are the parameters, or the optimizer
    for name in settings:
        if name not in known:
            raise unknown(f"setting of {kind.__name__}", name, known)
    return tuple(sorted((name, tuple(v) if isinstance(v, list) else v) for name, v in settings.items()))


def _text(kind: type, settings: Settings) -> str:
    return ", ".join([kind.__name__, *(f"{name}={value!r}" for name, value in settings)])
