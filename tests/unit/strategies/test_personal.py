"""FedPer, FedBN and Ditto by hand."""

import numpy as np
import pytest

from comity.strategies import Ditto, FedBN, FedPer
from comity.values.contribution import gather
from comity.values.errors import InvalidInput
from comity.values.strategy import Network

PARAMS = {"body.w": np.array([0.0]), "header.w": np.array([0.0]), "head.w": np.array([10.0])}


def plus(amount):
    return lambda training: {path: leaf + amount for path, leaf in training.params.items()}


def test_fedper_averages_all_but_the_named_layers(told):
    strategy = FedPer(personal=("head",))
    state, memories = strategy.init(PARAMS, Network(3)), [{}, {}]
    for _ in range(2):
        sites = [told(plus(1.0), rows=1), told(plus(4.0), rows=2)]
        given = [strategy.local(state, memory, site) for memory, site in zip(memories, sites, strict=True)]
        assert all(set(part.total) == {"body.w", "header.w"} for part, _ in given)
        memories = [memory for _, memory in given]
        state = strategy.step(state, gather([part for part, _ in given]))
    assert state.params == {"body.w": 6.0, "header.w": 6.0, "head.w": 10.0}  # 2 · (1 + 2 · 4) / 3
    assert [memory["head.w"] for memory in memories] == [12.0, 18.0]
    assert strategy.model(state, memories[1]) == {"body.w": 6.0, "header.w": 6.0, "head.w": 18.0}
    assert strategy.model(state, {})["head.w"] == 10.0


def test_a_site_trains_from_the_shared_layers_and_its_own(told):
    strategy, asked = FedPer(personal=("head.w",)), []
    state = strategy.init(PARAMS, Network(1))
    site = told(lambda training: asked.append(training.params) or training.params)
    strategy.local(state, {"head.w": np.array([3.0])}, site)
    assert asked == [{"body.w": 0.0, "header.w": 0.0, "head.w": 3.0}]


@pytest.mark.parametrize(
    ("personal", "message"),
    [
        (("hed",), "there is no layer or parameter 'hed'; did you mean 'head.w'"),
        (("body", "header", "head"), "is the whole model"),
        ((), "must be a tuple of layer names"),
        ("head", "must be a tuple of layer names such as .*, not 'head'"),
    ],
)
def test_layers_that_do_not_fit_the_model_are_refused(personal, message):
    with pytest.raises(InvalidInput, match=message):
        FedPer(personal=personal).init(PARAMS, Network(1))


def test_fedbn_keeps_every_leaf_of_every_batch_norm(told):
    names = ["conv.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "bn10.weight"]
    state = FedBN().init({name: np.zeros(1) for name in names}, Network(1))
    part, memory = FedBN().local(state, {}, told(plus(1.0)))
    assert set(part.total) == {"conv.weight", "bn10.weight"}
    assert set(memory) == {"bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"}


def test_fedbn_needs_batch_norm_and_something_else():
    with pytest.raises(InvalidInput, match="no layer of this model has a running_mean"):
        FedBN().init(PARAMS, Network(1))
    with pytest.raises(InvalidInput, match="nothing but batch norm"):
        FedBN().init({"running_mean": np.zeros(1), "weight": np.zeros(1)}, Network(1))


def test_ditto_shares_the_plain_training_and_keeps_the_pulled_one(told):
    strategy, asked = Ditto(strength=2.0), []
    state = strategy.init({"w": np.array([0.0])}, Network(1))

    def learned(training):
        asked.append(training)
        return {"w": training.params["w"] + (10.0 if training.pull is None else 1.0)}

    part, memory = strategy.local(state, {}, told(learned, rows=5))
    moved = strategy.step(state, part)
    assert strategy.model(moved, memory) == {"w": 1.0}
    assert strategy.model(moved, {}) == {"w": 10.0}
    part, memory = strategy.local(moved, memory, told(learned, rows=5))
    assert (strategy.step(moved, part).params["w"], memory["w"]) == (20.0, 2.0)
    assert [training.params["w"] for training in asked] == [0.0, 0.0, 10.0, 1.0]
    assert [training.pull and (training.pull.to["w"], training.pull.strength) for training in asked] == [
        None,
        (0.0, 2.0),
        None,
        (10.0, 2.0),
    ]
