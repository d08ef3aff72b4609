"""What the experiments with Torch share: rows of a hospital as tensors, a small net, and what it needs to run."""

import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from substrafl.dependency import Dependency
from torch import nn

# SubstraFL 1.0 keeps objects of its own in a checkpoint, which torch.load refuses from 2.6 on unless it is told to.
os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")


class Rows(torch.utils.data.Dataset):
    """Pairs of features and outcome, or features alone."""

    def __init__(self, data_from_opener, is_inference):
        self._x = torch.tensor(data_from_opener["x"], dtype=torch.float32)
        self._y = torch.tensor(data_from_opener["y"], dtype=torch.float32)[:, None]
        self._is_inference = is_inference

    def __len__(self):
        return len(self._x)

    def __getitem__(self, at):
        return self._x[at] if self._is_inference else (self._x[at], self._y[at])


def net():
    """A net of the same weights in every process."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(13, 8), nn.ReLU(), nn.Linear(8, 1))


def accuracy(data_from_opener, predictions):
    return float(np.mean((predictions.numpy()[:, 0] > 0) == data_from_opener["y"]))


def needs(experiment):
    """What a node needs to run the code of an experiment's file."""
    return Dependency(
        pypi_dependencies=[f"{each}=={version(each).partition('+')[0]}" for each in ("numpy", "torch")],
        local_code=[Path(__file__), Path(experiment)],
    )


def learned(algo):
    """The arrays of a model."""
    return {name: tensor.numpy() for name, tensor in algo.model.state_dict().items()}
