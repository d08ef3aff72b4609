"""Cross-validation looks at training rows only, keeps persons together and is deterministic."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import pytest

import comity as co
from comity.engine.tuning import cross_validate
from comity.values.errors import InvalidInput
from comity.values.model import Ability, Fit, Model

GRID = ["train.optimizer.lr=0.001", "train.optimizer.lr=0.1", "train.optimizer.lr=10"]


@final
@dataclass(frozen=True)
class Watched(Model):
    """A linear model that writes down which rows it was trained on and asked about."""

    trained: list[Any] = field(default_factory=list, compare=False)
    asked: list[Any] = field(default_factory=list, compare=False)
    inner: ClassVar[Model] = co.numpy.Linear(3, loss="logistic")
    can = frozenset(Ability)  # type: ignore[assignment]

    def accepts(self, train: co.Train) -> frozenset[Ability]:
        return self.inner.accepts(train)

    def init(self, seed: int) -> Any:
        return self.inner.init(seed)

    def fit(self, training: Any) -> Fit:
        self.trained.append(training.rows)
        return self.inner.fit(training)

    def gradient(self, params: Any, rows: co.Rows) -> Any:
        return self.inner.gradient(params, rows)

    def predict(self, params: Any, x: Any) -> Any:
        self.asked.append(x)
        return self.inner.predict(params, x)


def rows(xs: list[Any]) -> set[tuple[float, ...]]:
    return {tuple(row) for x in xs for row in x.tolist()}


def test_no_test_row_is_looked_at(experiment, sites):
    model = Watched()
    cross_validate(replace(experiment, model=model), sites, GRID, metric="auc", folds=3)
    training = rows([site.train.x for site in sites])
    assert rows(model.asked) == training, "every training row is held out once"
    assert rows([each.x for each in model.trained]) == training
    assert not training & rows([site.test.x for site in sites])


def test_no_row_is_trained_on_and_held_out_in_the_same_fold(experiment, sites):
    model = Watched()
    once = replace(experiment, model=model, rounds=1)
    cross_validate(once, sites, GRID[:1], metric="auc", folds=4)
    folds = zip(model.trained[::2], model.trained[1::2], model.asked[::2], model.asked[1::2], strict=True)
    for first, second, *held in folds:
        assert not rows([first.x, second.x]) & rows(held)


def with_persons(site: co.Site) -> co.Site:
    ids = np.arange(len(site.train)) // 3 + 100
    return co.Site(site.name, co.Rows(site.train.x, site.train.y, ids=ids), site.test)


def test_a_persons_rows_stay_together(experiment, sites):
    model = Watched()
    cross_validate(
        replace(experiment, model=model, rounds=1),
        [with_persons(site) for site in sites],
        GRID[:1],
        metric="auc",
        folds=5,
    )
    for each in model.trained:
        _, counts = np.unique(each.ids, return_counts=True)
        assert set(counts) == {3}


def test_it_is_deterministic_and_marks_what_it_chose(experiment, sites):
    first, second = (cross_validate(experiment, sites, GRID, metric="auc", folds=3, repeats=2) for _ in range(2))
    assert first.table == second.table
    assert first.best == second.best
    assert first.table.column("setting") == GRID
    values = first.table.column("auc")
    chosen = first.table.column("").index("chosen")
    assert values[chosen] == max(values)
    assert first.best.train.optimizer.lr == float(GRID[chosen].partition("=")[2])
    assert replace(first.best, train=experiment.train) == experiment
    assert "3-fold" in first.table.title
    assert "2 times" in first.table.title


def test_a_metric_that_is_better_when_smaller_is_minimized(experiment, sites):
    found = cross_validate(replace(experiment, metrics=[co.metrics.log_loss]), sites, GRID, metric="log_loss", folds=3)
    values = found.table.column("log_loss")
    assert values[found.table.column("").index("chosen")] == min(values)


def test_held_out_rows_do_not_say_when_to_stop(experiment, sites):
    peeking = replace(experiment, rounds=6, best="auc", stop=co.EarlyStopping("auc", patience=1))
    plain = cross_validate(replace(experiment, rounds=6), sites, GRID, metric="auc", folds=3)
    found = cross_validate(peeking, sites, GRID, metric="auc", folds=3)
    assert found.table == plain.table
    assert found.best.best == "auc"
    assert found.best.stop is not None


def few(sites: list[co.Site]) -> list[co.Site]:
    return [sites[0], co.Site("C", (np.zeros((2, 3)), np.zeros(2)))]


def one_person(sites: list[co.Site]) -> list[co.Site]:
    train = sites[0].train
    return [co.Site("C", co.Rows(train.x, train.y, ids=np.zeros(len(train))))]


def as_they_are(sites: list[co.Site]) -> list[co.Site]:
    return sites


@pytest.mark.parametrize(
    ("of", "grid", "how", "sentence"),
    [
        (few, GRID, {"folds": 3}, "site 'C' has 2 rows or persons, too few for 3 folds"),
        (one_person, GRID, {"folds": 2}, "site 'C' has 1 rows or persons, too few for 2 folds"),
        (as_they_are, [], {}, "give at least one setting and two folds, not 0 and 5"),
        (as_they_are, GRID, {"folds": 1}, "give at least one setting and two folds, not 3 and 1"),
        (as_they_are, GRID, {"repeats": 0}, "repeats must be at least 1, not 0"),
        (as_they_are, ["rouns=3"], {}, "did you mean 'rounds'?"),
        (as_they_are, GRID, {"metric": "auk"}, "did you mean 'auc'?"),
    ],
)
def test_what_cannot_be_is_refused(
    experiment: co.Experiment, sites: list[co.Site], of: Callable[..., Any], grid: list[str], how: Any, sentence: str
):
    with pytest.raises(InvalidInput) as caught:
        cross_validate(experiment, of(sites), grid, **{"metric": "auc", **how})
    assert sentence in str(caught.value)
