"""One organization's dataset taking part in an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, final

import numpy as np

from comity.values.errors import InvalidInput, NotSupported, a
from comity.values.model import Fit, Model, Pull, Train, Training
from comity.values.rows import Rows, as_rows, missing_said, same_columns
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
    sealed: str = ""
    """Why a strategy may not read the training rows, or gradients of them, itself; empty where it may."""
    rows: Rows | None = None
    """The training rows of a site whose strategy may not read them."""


@final
@dataclass(frozen=True, slots=True)
class Site:
    """A name, training rows, test rows, or both. Raises InvalidInput when their columns have names that differ.

    >>> import numpy as np
    >>> Site("Cleveland", train=(np.zeros((3, 2)), np.zeros(3)))
    Site('Cleveland', train=Rows(x=(3, 2) float64, y=(3,) float64), test=None)
    """

    name: str
    train: Rows = None  # pyright: ignore[reportAssignmentType]
    """Given as Rows, as (x, y) or as x alone; none when left out, for a site that a model is only measured at."""
    test: Rows | None = None
    work: Work | None = field(default=None, repr=False)
    """Bound by the engine; a user leaves it out."""

    def __post_init__(self) -> None:
        text = isinstance(self.name, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        plain = text and self.name.isprintable() and "/" not in self.name and self.name not in ("", ".", "..")
        if not plain or len(self.name) > 100:
            raise InvalidInput(f"a site's name is 1 to 100 printable characters without a slash, not {self.name!r}")
        train, test = (None if given is None else as_rows(given) for given in (self.train, self.test))
        if train is None:
            if test is None:
                raise InvalidInput(f"site {self.name!r} has no rows; give train=, test= or both")
            train = test.take(np.arange(0))
        if test is not None:
            same_columns((f"the training rows of site {self.name!r}", train.columns), ("its test rows", test.columns))
        object.__setattr__(self, "train", train)
        object.__setattr__(self, "test", test)

    def __repr__(self) -> str:
        return f"Site({self.name!r}, train={self.train}, test={self.test})"

    @property
    def data(self) -> Rows:
        """The rows a strategy may compute on: the training rows. Raises NotSupported where it may train only."""
        self._open()
        return self.train

    def bound(self, work: Work) -> Site:
        """This site with the round's work brought to it; its training rows are for that alone where it is sealed."""
        if not work.sealed:
            return replace(self, work=work)
        return replace(self, train=self.train.take(np.arange(0)), work=replace(work, rows=self.train))

    def fit(self, params: Tree, *, correction: Tree | None = None, pull: Pull | None = None) -> Fit:
        """Train the user's model from `params` on the site's rows with the user's recipe.

        `correction` is added to every gradient, `pull` adds a proximal term.
        """
        work = self._work()
        rows = self.train if work.rows is None else work.rows
        if not len(rows):
            raise InvalidInput(f"site {self.name!r} has no training rows; leave it out, or give it as tests=")
        training = Training(
            params=params,
            rows=rows,
            train=work.train,
            seed=work.seed,
            correction=correction,
            pull=pull,
        )
        with missing_said(rows, f"site {self.name!r}"):
            return work.run(training)

    @property
    def recipe(self) -> Train:
        """How the sites train in this round."""
        return self._work().train

    def steps(self) -> list[Array]:
        """Row positions of each mini-batch of this round, for strategies that sum at every step."""
        self._open()
        work, rows = self._work(), len(self.train)
        return list(batches(rows, work.train.size(rows), work.train.count(rows), derive(work.seed, "batches")))

    def gradient(self, params: Tree, index: Array) -> tuple[Tree, float]:
        """Gradient of the mean loss over the training rows at these positions, and that loss."""
        self._open()
        with missing_said(self.train, f"site {self.name!r}"):
            gradient, loss = self._work().model.gradient(params, self.train.take(index))
            if not isfinite(loss):
                raise InvalidInput("the loss is not finite; lower the learning rate or check the data")
        return gradient, loss

    def _open(self) -> None:
        if self.work is not None and self.work.sealed:
            raise NotSupported(self.work.sealed)

    def _work(self) -> Work:
        if self.work is None:
            raise InvalidInput(f"site {self.name!r} has no model to train; give the experiment a model and a recipe")
        return self.work


def as_sites(given: Any) -> list[Site]:
    """Sites as a list; raises InvalidInput for anything else."""
    if isinstance(given, Site | str) or not isinstance(given, Iterable):
        raise InvalidInput(f"sites must be a list of co.Site values, not {given!r}")
    listed = list[Any](given)
    for each in listed:
        if not isinstance(each, Site):
            raise InvalidInput(f"sites must be co.Site values, got {a(each)}")
    return listed
