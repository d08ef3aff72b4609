"""W2: 10 sites of 2,000 rows × 64, an MLP of 49,794 parameters, batches of 32, all sites in every round."""

import numpy as np
import torch
from torch import Tensor, nn

SITES, PER_ROUND, ROWS, BATCH, LR = 10, 10, 2000, 32, 0.05


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 2))


def arrays() -> list[tuple[np.ndarray, np.ndarray]]:
    """Two classes on either side of a plane, one label in fifty wrong, float32."""
    generator = np.random.default_rng(2)
    normal = generator.normal(size=64)
    made = []
    for _ in range(SITES):
        x = generator.normal(size=(ROWS, 64)).astype(np.float32)
        wrong = generator.random(ROWS) < 0.02
        made.append((x, ((x @ normal > 0) ^ wrong).astype(np.int64)))
    return made


def tensors() -> list[tuple[Tensor, Tensor]]:
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in arrays()]
