"""A site and the work brought to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest

from comity.values.errors import InvalidInput, NotSupported
from comity.values.model import Ability, Fit, Model, Pull, Train, Training
from comity.values.optimizer import SGD
from comity.values.rows import Rows
from comity.values.site import Site, Work
from comity.values.tree import Array, Tree

X, Y = np.arange(10.0).reshape(5, 2), np.arange(5)


@final
@dataclass(frozen=True)
class Counting(Model):
    """Its gradient is the rows' mean."""

    can = frozenset({Ability.FIT})  # type: ignore[assignment]  # pyright: ignore

    def accepts(self, train: Train) -> frozenset[Ability]:
        return frozenset()

    def init(self, seed: int) -> Tree:
        return {"w": np.zeros(2)}

    def fit(self, training: Training) -> Fit:
        return Fit(training.params, len(training.rows), 1, 0.1, 0.0)

    def gradient(self, params: Tree, rows: Rows) -> tuple[Tree, float]:
        return {"w": rows.x.mean(0)}, 0.0

    def predict(self, params: Tree, x: Array) -> Array:
        return x[:, 0]


def work(batch_size: int = 2, epochs: int = 2) -> Work:
    return Work(Counting(), Train(optimizer=SGD(0.1), batch_size=batch_size, epochs=epochs), 7, Counting().fit)


def test_a_site_shows_its_name_and_shapes_only() -> None:
    assert repr(Site("A", (X, Y), X)).startswith("Site('A', train=Rows(x=(5, 2) float64, y=(5,) int64)")
    assert Site("A", (X, Y)).data.x is X


def test_a_site_may_have_test_rows_only() -> None:
    only = Site("A", test=(X, Y)).bound(work())
    assert only.train.x.shape == (0, 2)
    with pytest.raises(InvalidInput, match="site 'A' has no training rows; leave it out"):
        only.fit({})
    with pytest.raises(InvalidInput, match="site 'A' has no rows; give train=, test= or both"):
        Site("A")


def test_training_and_test_rows_have_the_same_columns() -> None:
    train, test = Rows(X, Y, ("age", "sex")), Rows(X, Y, ("sex", "age"))
    with pytest.raises(InvalidInput, match=r"training rows of site 'A' and of its test rows differ.*'age' and 'sex'"):
        Site("A", train, test)
    assert Site("A", train, (X, Y)).train.columns == ("age", "sex")


def test_what_fails_on_missing_values_says_so() -> None:
    def run(training: Training) -> Fit:
        raise InvalidInput("the model is not finite")

    bound = Work(Counting(), work().train, 7, run)
    holes = np.where(X == 3, np.nan, X)
    with pytest.raises(InvalidInput, match=r"site 'A': column 1 of x has 1 NaN; leave .*it led to: the model is not"):
        Site("A", (holes, Y)).bound(bound).fit({})
    with pytest.raises(InvalidInput, match=r"^the model is not finite$"):
        Site("A", (X, Y)).bound(bound).fit({})


@pytest.mark.parametrize("name", ["", "a/b", "a\0", 1, None])
def test_a_name_can_be_part_of_a_path(name: Any) -> None:
    with pytest.raises(InvalidInput, match="a site's name"):
        Site(name, X)


def test_fit_hands_the_engine_one_training_with_all_that_was_asked() -> None:
    asked: list[Training] = []

    def run(training: Training) -> Fit:
        asked.append(training)
        return Counting().fit(training)

    bound = Site("A", (X, Y)).bound(Work(Counting(), work().train, 7, run))
    pull, correction = Pull({"w": np.ones(2)}, 0.1), {"w": np.ones(2)}
    assert bound.fit({"w": np.zeros(2)}, correction=correction, pull=pull).rows == 5
    assert (asked[0].seed, asked[0].pull, asked[0].correction) == (7, pull, correction)


def test_steps_are_the_batches_of_the_recipe_and_always_the_same() -> None:
    bound = Site("A", (X, Y)).bound(work())
    steps = bound.steps()
    assert [len(step) for step in steps] == [2, 2, 1, 2, 2, 1]
    assert [step.tolist() for step in bound.steps()] == [step.tolist() for step in steps]
    assert len(Site("A", (X, Y)).bound(work(batch_size=0)).steps()) == 2


def test_a_gradient_is_taken_over_the_rows_named() -> None:
    gradient, _ = Site("A", (X, Y)).bound(work()).gradient({}, np.array([0, 2]))
    assert np.asarray(gradient["w"]).tolist() == [2, 3]


def test_a_site_without_work_says_what_is_missing() -> None:
    with pytest.raises(InvalidInput, match="site 'A' has no model to train"):
        Site("A", X).fit({})


def test_a_site_without_rows_cannot_train() -> None:
    empty = Site("A", (X[:0], Y[:0])).bound(work())
    for ask in (lambda: empty.fit({}), empty.steps):
        with pytest.raises(InvalidInput, match="row"):
            ask()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either steps or epochs"),
        ({"steps": 1, "epochs": 1}, "either steps or epochs"),
        ({"steps": -1}, "steps must be a whole number of at least 0, not -1"),
        ({"steps": 2.5}, "steps must be a whole number of at least 0, not 2.5"),
        ({"steps": 2, "epochs": -1}, "epochs must be"),
        ({"steps": 1, "batch_size": -1}, "batch_size must be"),
    ],
)
def test_a_recipe_says_how_long(settings: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Train(optimizer=SGD(0.1), **settings)


def test_an_optimizer_is_given_with_its_settings() -> None:
    with pytest.raises(InvalidInput, match=r"not the class SGD; write SGD\(\.\.\.\)"):
        Train(optimizer=SGD, steps=1)


def test_a_recipe_counts_steps_by_hand() -> None:
    assert Train(optimizer=None, batch_size=4, epochs=3).count(rows=10) == 9
    assert Train(optimizer=None, batch_size=0, epochs=3).count(rows=10) == 3
    assert Train(optimizer=None, batch_size=100, steps=5).count(rows=10) == 5
    assert Train(optimizer=None, batch_size=100, steps=5).size(rows=10) == 10


def test_a_model_has_one_device_and_no_faster_way_unless_it_says_so() -> None:
    model = Counting()
    assert model.on("cpu") is model
    assert model.fit_many([]) is None
    with pytest.raises(NotSupported, match="cpu only, not on 'cuda'"):
        model.on("cuda")
