"""Numpy arrays to tensors and back, mini-batches of them, and a quiet place to compute."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from comity.values.model import Training
from comity.values.rows import Rows
from comity.values.seed import batches, derive
from comity.values.tree import Array

Tensors: TypeAlias = list[Tensor] | tuple[Tensor, ...]

Prepare: TypeAlias = Callable[[Rows], tuple[Tensor, Tensor]]
"""Rows to what the module and the loss take."""

CHUNK_BYTES = 2**22
"""Mini-batches are gathered from the rows in chunks of about this size, for all sites together."""


def tensor(array: Array, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """A tensor of the array, which may share its memory: not to be written into."""
    # torch warns of read-only memory and refuses negative strides; `require` copies only those.
    return torch.from_numpy(np.require(array, requirements=("C", "W"))).to(device, dtype)


def array(values: Tensor) -> Array:
    """A numpy array of its own with the tensor's numbers."""
    return values.detach().to("cpu").clone(memory_format=torch.contiguous_format).numpy()


def minibatches(training: Training, prepare: Prepare) -> Iterator[tuple[Tensor, Tensor]]:
    """The training's mini-batches of features and targets, the same rows as in every framework."""
    for x, y, sizes in chunks(training, prepare):
        yield from zip(x.split(sizes), y.split(sizes), strict=True)


def chunks(training: Training, prepare: Prepare, sites: int = 1) -> Iterator[tuple[Tensor, Tensor, list[int]]]:
    """Successive mini-batches, gathered many at a time: their features, their targets and their sizes."""
    rows, train = training.rows, training.train
    size, steps = train.size(len(rows)), train.count(len(rows))
    many = max(1, CHUNK_BYTES * len(rows) // max(1, sites * size * rows.x.nbytes))
    order = batches(len(rows), size, steps, derive(training.seed, "batches"))
    while chunk := list(islice(order, many)):
        yield *prepare(rows.take(np.concatenate(chunk))), [len(batch) for batch in chunk]


@contextmanager
def quiet(seed: int, device: torch.device) -> Generator[None, None, None]:
    """One thread, and torch's generators begun at the seed; both are as they were afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        # torch.manual_seed would also record a stack trace for every device there is not.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
