"""W1: 100 sites of 50 images 1×28×28, a CNN of 80,202 parameters, batches of 10, 10 of 100 sites a round."""

import numpy as np
import torch
from torch import Tensor, nn

SITES, PER_ROUND, ROWS, BATCH, LR = 100, 10, 50, 10, 0.05


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def arrays() -> list[tuple[np.ndarray, np.ndarray]]:
    """Ten blurred digits of noise that can be learned, float32, and their numbers."""
    generator = np.random.default_rng(1)
    digits = generator.normal(size=(10, 1, 28, 28))
    made = []
    for _ in range(SITES):
        y = generator.integers(0, 10, ROWS)
        made.append(((digits[y] + generator.normal(size=(ROWS, 1, 28, 28))).astype(np.float32), y))
    return made


def tensors() -> list[tuple[Tensor, Tensor]]:
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in arrays()]
