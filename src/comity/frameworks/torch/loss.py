"""What torch's losses expect of targets, and what their outputs predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from comity.frameworks.torch.tensors import tensor
from comity.values.errors import InvalidInput, a
from comity.values.tree import Array

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Activation: TypeAlias = Callable[[Tensor], Tensor]

OF_CLASSES: frozenset[Any] = frozenset(
    {functional.cross_entropy, functional.nll_loss, functional.multi_margin_loss},
)
"""Losses whose targets are class numbers."""

ELEMENTWISE: frozenset[Any] = frozenset(
    {
        functional.binary_cross_entropy_with_logits,
        functional.binary_cross_entropy,
        functional.mse_loss,
        functional.l1_loss,
        functional.smooth_l1_loss,
        functional.huber_loss,
        functional.poisson_nll_loss,
        functional.soft_margin_loss,
    },
)
"""Losses that compare outputs and targets one by one, so their shapes must be equal."""


def _softmax(outputs: Tensor) -> Tensor:
    return outputs.softmax(dim=1)


def _unchanged(outputs: Tensor) -> Tensor:
    return outputs


ACTIVATIONS: dict[Any, Activation] = {
    functional.binary_cross_entropy_with_logits: torch.sigmoid,
    functional.cross_entropy: _softmax,
    functional.nll_loss: torch.exp,
    functional.poisson_nll_loss: torch.exp,
}


def activation(loss: Loss) -> Activation:
    """From outputs to predictions under a loss of torch's; the identity for any other."""
    return ACTIVATIONS.get(loss, _unchanged)


def targets(loss: Loss, y: Array, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Targets (n, ...) as the loss takes them: class numbers as int64 (n,), values as floats.

    A loss of the user's own gets integers as int64 and anything else as floats, NaN included.
    """
    if loss in OF_CLASSES and (y.size == len(y) or y.dtype.kind != "f"):
        y = y.reshape(len(y)) if y.size == len(y) else y
        if y.dtype.kind == "f" and not (np.floor(y) == y).all():
            raise InvalidInput(f"{_name(loss)} takes class numbers 0, 1, ... as targets, but some are not whole")
        return tensor(y, torch.int64, device)
    if loss not in ELEMENTWISE and y.dtype.kind in "iu":
        return tensor(y, torch.int64, device)
    return tensor(y, dtype, device)


def compare(loss: Loss, outputs: Tensor, target: Tensor) -> Tensor:
    """The loss, with outputs (n, 1) and targets (n,) brought to one shape.

    Left alone they would be broadcast to (n, n), which trains a wrong model without an error.
    """
    if outputs.shape != target.shape and loss not in OF_CLASSES:
        if outputs.ndim == target.ndim + 1 and outputs.shape[-1] == 1:
            outputs = outputs.squeeze(-1)
        elif target.ndim == outputs.ndim + 1 and target.shape[-1] == 1:
            target = target.squeeze(-1)
        if loss in ELEMENTWISE and outputs.shape != target.shape:
            raise InvalidInput(
                f"{_name(loss)} compares outputs of shape {tuple(outputs.shape)} with targets of shape "
                f"{tuple(target.shape)}; they must be equal"
            )
    value = loss(outputs, target)
    if not isinstance(value, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"{_name(loss)} gave {a(value)}; a loss is a tensor, so that it has a gradient")
    if value.ndim:
        raise InvalidInput(f"{_name(loss)} gave shape {tuple(value.shape)}; a loss is one number, the mean over rows")
    return value


def _name(loss: Loss) -> str:
    return getattr(loss, "__name__", repr(loss))
