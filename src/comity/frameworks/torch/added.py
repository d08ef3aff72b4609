"""What a strategy adds to every gradient: a correction and a proximal pull."""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch

from comity.frameworks.torch.tensors import Tensors

Added: TypeAlias = Callable[[Tensors], Tensors]


def added(params: Tensors, correction: Tensors, to: Tensors, strength: float) -> Added:
    """What turns gradients into gradients + correction + strength · (w - to); empty lists add nothing."""
    values = [param.detach() for param in params]

    def add(grads: Tensors) -> Tensors:
        # Gradients may share memory with one another, so they are never written into.
        if correction:
            grads = torch._foreach_add(grads, correction)
        if to:
            grads = torch._foreach_add(grads, torch._foreach_sub(values, to), alpha=strength)
        return grads

    return add
