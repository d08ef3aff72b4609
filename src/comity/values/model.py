"""What a framework offers the engine: parameters, local training, gradients and predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

from comity.values import bounds
from comity.values.dp_sgd import DPSGD
from comity.values.errors import InvalidInput, NotSupported
from comity.values.rows import Rows
from comity.values.tree import Array, Tree


class Ability(StrEnum):
    """Something a strategy may need of local training and an adapter may not have."""

    FIT = "local training"
    CORRECTION = "a correction added to every gradient"
    PULL = "a proximal pull"
    GRADIENT = "single gradients"
    GRADIENT_STEPS = "steps whose length is the learning rate times the gradient"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """How a site trains in one round: an optimizer and how long. Give `steps` or `epochs`, not both."""

    optimizer: Any
    """`co.SGD`, `co.Adam`, or a framework's own (`co.torch.Optimizer`)."""
    batch_size: int = 32
    """Rows in a mini-batch; 0 means all rows in one batch."""
    steps: int = 0
    epochs: int = 0

    def __post_init__(self) -> None:
        bounds.plain(self)
        if isinstance(self.optimizer, type):
            name = self.optimizer.__name__
            raise InvalidInput(f"optimizer must be one with its settings, not the class {name}; write {name}(...)")
        for name in ("batch_size", "steps", "epochs"):
            bounds.count(name, getattr(self, name))
        if (self.steps > 0) == (self.epochs > 0):
            raise InvalidInput(f"give either steps or epochs above 0, not steps={self.steps} and epochs={self.epochs}")

    def size(self, rows: int) -> int:
        """Rows in a full mini-batch at a site of this many rows; raises InvalidInput when it has none."""
        if rows < 1:
            raise InvalidInput("there are no training rows; leave the site out of the experiment")
        return min(self.batch_size or rows, rows)

    def count(self, rows: int) -> int:
        """Gradient steps of one round at a site of this many rows."""
        return self.steps or self.epochs * -(-rows // self.size(rows))


@final
@dataclass(frozen=True, slots=True)
class Pull:
    """A proximal term: strength · (w - to) is added to every gradient (FedProx, Ditto, pFedMe)."""

    to: Tree
    strength: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One local training to be run."""

    params: Tree
    rows: Rows
    train: Train
    seed: int
    correction: Tree | None = None
    """Added to every gradient; same paths and shapes as params."""
    pull: Pull | None = None
    dp_sgd: DPSGD | None = None
    """How gradients are sampled, clipped and noised; None where they are taken as they are. What is added to them, as
    weight decay, momentum, correction and pull, tells of no row beyond what was released before."""


@final
@dataclass(frozen=True, slots=True)
class Fit:
    """What one local training gave."""

    params: Tree
    rows: int
    """Training rows of the site."""
    steps: int
    lr_sum: float
    """The sum of the learning rates over the steps."""
    loss: float
    """Mean training loss over the steps, proximal terms left out; NaN under DP-SGD, for it tells of rows."""


class Model(ABC):
    """A model of some framework. Implementations are frozen and declare what they can do in `can`."""

    @property
    @abstractmethod
    def can(self) -> frozenset[Ability]:
        """What this model can do with any optimizer it accepts."""

    @abstractmethod
    def accepts(self, train: Train) -> frozenset[Ability]:
        """What it can do with this recipe; raises NotSupported in one sentence when it cannot run it."""

    @abstractmethod
    def init(self, seed: int) -> Tree:
        """Fresh parameters; the same for the same seed."""

    @abstractmethod
    def fit(self, training: Training) -> Fit:
        """Train once, on one thread; deterministic given its argument. May not touch what it was given."""

    @abstractmethod
    def gradient(self, params: Tree, rows: Rows) -> tuple[Tree, float]:
        """Gradient of the mean loss over these rows, and that loss."""

    @abstractmethod
    def predict(self, params: Tree, x: Array) -> Array:
        """Predictions for x (n, ...): probabilities for classification, values for regression, risk for survival.

        Shape (n,) for one output, (n, k) for k classes or k tasks.
        """

    def accepts_dp_sgd(self) -> None:
        """Raises NotSupported, in one sentence, unless `fit` can clip and noise the gradients of single rows."""
        raise NotSupported(
            "RecordDP needs the gradients of single rows, which this model does not give; take co.torch or co.numpy"
        )

    def fit_many(self, trainings: Sequence[Training]) -> list[Fit] | None:
        """The same fits at once, to a tolerance; None when this model has no faster way for them."""
        return None

    def on(self, device: str) -> Model:
        """The same model on another device; raises NotSupported when it has none of that name."""
        if device != "cpu":
            raise NotSupported(f"this model runs on cpu only, not on {device!r}")
        return self
