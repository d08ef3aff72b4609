"""Our own optimizers: plain values and one pure step, the same on numpy and on torch.

A step works on lists of arrays, so an adapter can hand it numpy arrays or torch tensors alike. A
framework may run the same arithmetic faster (in place, fused); its tests hold it to these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from comity.values import bounds
from comity.values.errors import InvalidInput

Slots: TypeAlias = list[list[Any]]
"""What an optimizer remembers: per kind of moment, one array for each parameter."""


@final
@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent: v ← momentum·v + g + weight_decay·w;  w ← w - lr·v."""

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.positive("lr", self.lr)
        bounds.fraction("momentum", self.momentum)
        bounds.not_negative("weight_decay", self.weight_decay)
        if self.nesterov and not self.momentum:
            raise InvalidInput("nesterov needs a momentum above 0")

    def start(self, params: Sequence[Any]) -> Slots:
        """Slots for the first step."""
        return [[p * 0 for p in params]] if self.momentum else []

    def step(self, params: Sequence[Any], grads: Sequence[Any], slots: Slots, count: int) -> tuple[list[Any], Slots]:
        """The next parameters and slots; `count` is 1 at the first step."""
        if self.weight_decay:
            grads = [g + self.weight_decay * p for p, g in zip(params, grads, strict=True)]
        if self.momentum:
            velocity = [self.momentum * v + g for v, g in zip(slots[0], grads, strict=True)]
            slots = [velocity]
            grads = [self.momentum * v + g for v, g in zip(velocity, grads, strict=True)] if self.nesterov else velocity
        return [p - self.lr * g for p, g in zip(params, grads, strict=True)], slots


@final
@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1), with decoupled weight decay (Loshchilov and Hutter 2019)."""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.positive("lr", self.lr)
        bounds.fraction("beta1", self.beta1)
        bounds.fraction("beta2", self.beta2)
        bounds.positive("epsilon", self.epsilon)
        bounds.not_negative("weight_decay", self.weight_decay)

    def start(self, params: Sequence[Any]) -> Slots:
        """Slots for the first step: first and second moments."""
        return [[p * 0 for p in params], [p * 0 for p in params]]

    def step(self, params: Sequence[Any], grads: Sequence[Any], slots: Slots, count: int) -> tuple[list[Any], Slots]:
        """The next parameters and slots; `count` is 1 at the first step."""
        first = [self.beta1 * m + (1 - self.beta1) * g for m, g in zip(slots[0], grads, strict=True)]
        second = [self.beta2 * v + (1 - self.beta2) * g * g for v, g in zip(slots[1], grads, strict=True)]
        rate, unbias = self.lr / (1 - self.beta1**count), (1 - self.beta2**count) ** -0.5
        decay = 1 - self.lr * self.weight_decay
        moved = [
            p * decay - rate * m / (v**0.5 * unbias + self.epsilon)
            for p, m, v in zip(params, first, second, strict=True)
        ]
        return moved, [first, second]


Optimizer: TypeAlias = SGD | Adam
