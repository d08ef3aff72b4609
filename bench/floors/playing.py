"""The floor of the playground's default run: the same models trained by bare loops, and nothing else.

Two hospitals of 120 breast ultrasound images, 80 % and 20 % malignant; a small CNN, alone, together and on all, for
three seeds and 20 rounds; AUC and balanced accuracy after each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

FILES = Path(__file__).parents[2] / "src" / "comity" / "data" / "files"
ROUNDS, SEEDS, BATCH, LR = 20, 3, 16, 0.1
MIX = ((24, 96), (96, 24))
"""Benign and malignant images of each hospital."""
JOBS = [(seed, sites) for seed in range(SEEDS) for sites in ((0, 1), (0,), (1,), (2,))]
"""Together, each alone, and (2) all in one place."""


def net() -> nn.Module:
    first = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    second = (nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(16 * 7 * 7, 2))


def images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images and labels to train on, and those to measure on."""
    stored = np.load(FILES / "breastmnist" / "breastmnist.npz")
    parts = ("train", "val", "test")
    x = [torch.from_numpy(stored[f"{part}_images"][:, None].astype(np.float32) / 255) for part in parts]
    y = [torch.from_numpy((stored[f"{part}_labels"] == 0).astype(np.int64)) for part in parts]
    return torch.cat(x[:2]), torch.cat(y[:2]), x[2], y[2]


def deal(y: Tensor, seed: int) -> list[Tensor]:
    """Positions of the images of each hospital, and of both."""
    source = torch.Generator().manual_seed(seed)
    of = [
        rows[torch.randperm(len(rows), generator=source)] for rows in (torch.where(y == 0)[0], torch.where(y == 1)[0])
    ]
    a = torch.cat([of[label][: MIX[0][label]] for label in (0, 1)])
    b = torch.cat([of[label][MIX[0][label] : MIX[0][label] + MIX[1][label]] for label in (0, 1)])
    return [a, b, torch.cat([a, b])]


def job(data: tuple[Tensor, Tensor, Tensor, Tensor], seed: int, sites: tuple[int, ...]) -> list[tuple[float, float]]:
    """One way to train under one seed: its measures after each round."""
    x, y, test_x, test_y = data
    torch.manual_seed(seed)
    module, dealt = net(), deal(y, seed)
    params, measures = list(module.parameters()), []
    total = sum(len(dealt[site]) for site in sites)
    for _ in range(ROUNDS):
        shared = [each.detach().clone() for each in params]
        summed = [torch.zeros_like(each) for each in shared]
        for site in sites:
            _set(params, shared)
            for part in dealt[site][torch.randperm(len(dealt[site]))].split(BATCH):
                grads = torch.autograd.grad(cross_entropy(module(x[part]), y[part]), params)
                for param, grad in zip(params, grads, strict=True):
                    param.data.sub_(grad, alpha=LR)
            for each, param in zip(summed, params, strict=True):
                each.add_(param.data, alpha=len(dealt[site]) / total)
        _set(params, summed)
        with torch.inference_mode():
            score = module(test_x).softmax(1)[:, 1]
        ill, well = score[test_y == 1], score[test_y == 0]
        right = ((ill > 0.5).double().mean() + (well <= 0.5).double().mean()) / 2
        measures.append((float((ill[:, None] > well).double().mean()), float(right)))
    return measures


def _set(params: list[nn.Parameter], values: list[Tensor]) -> None:
    for param, value in zip(params, values, strict=True):
        param.data.copy_(value)
