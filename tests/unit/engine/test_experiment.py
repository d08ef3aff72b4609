"""An experiment is an immutable value, and one whose parts do not fit together cannot be made."""

from dataclasses import FrozenInstanceError, dataclass, replace
from typing import ClassVar, final

import pytest

import comity as co
from comity.values.errors import InvalidInput, NotSupported
from comity.values.model import Ability, Model

LINEAR = co.numpy.Linear(3, loss="logistic")
TRAIN = co.Train(optimizer=co.SGD(lr=0.1), steps=4)
WHOLE = {"model": LINEAR, "train": TRAIN, "strategy": co.FedAvg()}


@final
@dataclass(frozen=True)
class Weak(Model):
    """A model that can train and nothing more."""

    can: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})  # type: ignore[assignment]

    def accepts(self, train):
        return self.can

    def init(self, seed): ...
    def fit(self, training): ...
    def gradient(self, params, rows): ...
    def predict(self, params, x): ...


REFUSED = {
    "strategy class": ({"strategy": co.FedAvg}, "strategy must be a strategy such as co.FedAvg()"),
    "no model": ({"model": None}, "FedAvg trains a model; give the experiment model=... and train=..."),
    "no recipe": ({"train": None}, "a model needs a recipe"),
    "recipe alone": ({"strategy": co.strategies.CoxRegression(), "model": None}, "no model to train"),
    "no place for a model": ({"strategy": co.strategies.CoxRegression()}, "CoxRegression is a model or a statistic in"),
    "no place for a recipe": ({"strategy": co.strategies.Statistics()}, "leave model= and train= out"),
    "model class": ({"model": co.numpy.Linear}, "model must be a model such as co.numpy.Linear(...)"),
    "optimizer as recipe": ({"train": co.SGD(lr=0.1)}, "train must be a recipe such as co.Train"),
    "rounds": ({"rounds": 0}, "rounds must be a whole number of at least 1, not 0"),
    "half a round": ({"rounds": 1.5}, "rounds must be a whole number of at least 1, not 1.5"),
    "a switch of rounds": ({"rounds": True}, "rounds must be a whole number of at least 1, not True"),
    "evaluate_every": ({"evaluate_every": 0}, "evaluate_every must be a whole number of at least 1, not 0"),
    "seed of text": ({"seed": "42"}, "seed must be a whole number from 0 to 2^63 - 1, not '42'"),
    "negative seed": ({"seed": -1}, "seed must be a whole number from 0 to 2^63 - 1, not -1"),
    "long seed": ({"seed": 2**63}, "seed must be a whole number from 0 to 2^63 - 1"),
    "no quorum": ({"quorum": 0}, "quorum must be a number of sites, or a share above 0 and below 1, not 0"),
    "odd quorum": ({"quorum": 1.5}, "quorum must be a number of sites"),
    "nan quorum": ({"quorum": float("nan")}, "quorum must be a number of sites"),
    "endless quorum": ({"quorum": float("inf")}, "quorum must be a number of sites"),
    "text quorum": ({"quorum": "all"}, "quorum must be a number of sites"),
    "one metric": ({"metrics": co.metrics.auc}, "metrics must be a list such as [co.metrics.accuracy]"),
    "metric by name": ({"metrics": ["auc"]}, "a metric is one such as co.metrics.auc"),
    "metrics as text": ({"metrics": "auc"}, "metrics must be a list"),
    "metric class": ({"metrics": [co.metrics.Auc]}, "a metric is one such as co.metrics.auc"),
    "twice": ({"metrics": [co.metrics.auc, co.metrics.auc]}, "two metrics are called 'auc'; give each metric once"),
    "misspelt best": ({"metrics": [co.metrics.accuracy], "best": "acuracy"}, "did you mean 'accuracy'?"),
    "best of none": ({"best": "auc"}, "there is no metric 'auc' (known: none)"),
    "best as metric": ({"metrics": [co.metrics.auc], "best": co.metrics.auc}, "best must be the name of one"),
    "misspelt stop": ({"metrics": [co.metrics.auc], "stop": co.EarlyStopping("auk")}, "did you mean 'auc'?"),
    "stop by name": ({"metrics": [co.metrics.auc], "stop": "auc"}, "stop must be co.EarlyStopping(metric)"),
}


@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(InvalidInput) as caught:
        co.Experiment(**{**WHOLE, **changes})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("strategy", "needed"),
    [
        (co.Scaffold(), "Scaffold needs a correction added to every gradient, which Weak cannot do"),
        (co.FedProx(mu=0.1), "FedProx needs a proximal pull, which Weak cannot do"),
        (co.strategies.SharedTrunk(trunk=("weight",)), "SharedTrunk needs single gradients, which Weak cannot do"),
    ],
)
def test_a_model_that_cannot_do_what_the_strategy_needs_is_refused(strategy, needed):
    with pytest.raises(NotSupported) as caught:
        co.Experiment(model=Weak(), train=TRAIN, strategy=strategy)
    assert str(caught.value) == needed


def test_a_recipe_that_does_not_go_with_the_strategy_is_refused():
    momentum = co.Train(optimizer=co.SGD(lr=0.1, momentum=0.9), steps=4)
    with pytest.raises(NotSupported, match=r"Scaffold needs steps whose length is .* does not go with SGD"):
        co.Experiment(model=LINEAR, train=momentum, strategy=co.Scaffold())


def test_an_optimizer_that_the_model_does_not_know_is_refused():
    with pytest.raises(NotSupported, match=r"trains with co\.SGD or co\.Adam, not with str"):
        co.Experiment(model=LINEAR, train=co.Train(optimizer="sgd", steps=4), strategy=co.FedAvg())


def test_it_cannot_be_changed(experiment):
    with pytest.raises(FrozenInstanceError):
        experiment.rounds = 5
    assert isinstance(experiment.metrics, tuple)


def test_equal_parts_make_equal_experiments():
    first, second = co.Experiment(**WHOLE, metrics=[co.metrics.auc]), co.Experiment(**WHOLE, metrics=(co.metrics.auc,))
    assert first == second
    assert hash(first) == hash(second)
    assert first != replace(first, seed=1)


def test_its_repr_makes_it_again(experiment):
    parts = (co.Experiment, co.FedAvg, co.Train, co.SGD, co.numpy.Linear, co.metrics.Accuracy, co.metrics.Auc)
    assert eval(repr(experiment), {part.__name__: part for part in parts}) == experiment


def test_a_plain_function_is_a_mean_over_sites():
    def error(y, predictions):
        return 0.0

    made = co.Experiment(**WHOLE, metrics=[error])
    assert made.measures == (co.metrics.Mean(error),)
    assert made.metric("error").name == "error"
    assert co.Experiment(**WHOLE, metrics=[error], best="error").best == "error"


@pytest.mark.parametrize(
    ("quorum", "selected", "needed"),
    # 0.1 · 30 and 0.7 · 10 are a little above 3 and 7 in binary
    [
        (1, 4, 1),
        (3, 4, 3),
        (0.5, 4, 2),
        (0.5, 5, 3),
        (0.1, 30, 3),
        (0.7, 10, 7),
        (0.001, 4, 1),
        (0.999, 4, 4),
        (2.0, 4, 2),
    ],
)
def test_quorum_is_a_number_or_a_share_rounded_up(quorum, selected, needed):
    assert co.Experiment(**WHOLE, quorum=quorum).quorum_of(selected) == needed
