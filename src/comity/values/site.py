"""One organization's dataset taking part in an experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import final

from comity.values.errors import InvalidInput
from comity.values.model import Fit, Model, Pull, Train, Training
from comity.values.rows import Rows, as_rows
from comity.values.seed import batches, derive
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, slots=True)
class Work:
    """The user's model and recipe, brought to a site for one round."""

    model: Model
    train: Train
    seed: int
    """Of this site in this round."""
    run: Callable[[Training], Fit]
    """How the engine runs a training: at once, or together with other sites'."""


@final
@dataclass(frozen=True, slots=True)
class Site:
    """A name, training rows and, if it has them, test rows.

    >>> import numpy as np
    >>> Site("Cleveland", train=(np.zeros((3, 2)), np.zeros(3)))
    Site('Cleveland', train=Rows(x=(3, 2) float64, y=(3,) float64), test=None)
    """

    name: str
    train: Rows
    """Given as Rows, as (x, y) or as x alone."""
    test: Rows | None = None
    work: Work | None = field(default=None, repr=False)
    """Bound by the engine; a user leaves it out."""

    def __post_init__(self) -> None:
        text = isinstance(self.name, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        plain = text and self.name.isprintable() and "/" not in self.name and self.name not in ("", ".", "..")
        if not plain or len(self.name) > 100:
            raise InvalidInput(f"a site's name is 1 to 100 printable characters without a slash, not {self.name!r}")
        object.__setattr__(self, "train", as_rows(self.train))
        if self.test is not None:
            object.__setattr__(self, "test", as_rows(self.test))

    def __repr__(self) -> str:
        return f"Site({self.name!r}, train={self.train}, test={self.test})"

    @property
    def data(self) -> Rows:
        """The rows a strategy may compute on: the training rows."""
        return self.train

    def bound(self, work: Work) -> Site:
        """This site with the round's work brought to it."""
        return replace(self, work=work)

    def fit(self, params: Tree, *, correction: Tree | None = None, pull: Pull | None = None) -> Fit:
        """Train the user's model from `params` on the site's rows with the user's recipe.

        `correction` is added to every gradient, `pull` adds a proximal term.
        """
        work = self._work()
        if not len(self.train):
            raise InvalidInput(f"site {self.name!r} has no training rows; leave it out of the experiment")
        return work.run(
            Training(
                params=params,
                rows=self.train,
                train=work.train,
                seed=work.seed,
                correction=correction,
                pull=pull,
            )
        )

    @property
    def recipe(self) -> Train:
        """How the sites train in this round."""
        return self._work().train

    def steps(self) -> list[Array]:
        """Row positions of each mini-batch of this round, for strategies that sum at every step."""
        work, rows = self._work(), len(self.train)
        return list(batches(rows, work.train.size(rows), work.train.count(rows), derive(work.seed, "batches")))

    def gradient(self, params: Tree, index: Array) -> tuple[Tree, float]:
        """Gradient of the mean loss over the training rows at these positions, and that loss."""
        return self._work().model.gradient(params, self.train.take(index))

    def _work(self) -> Work:
        if self.work is None:
            raise InvalidInput(f"site {self.name!r} has no model to train; give the experiment a model and a recipe")
        return self.work
