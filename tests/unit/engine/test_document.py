"""An experiment is canonical JSON: it comes back equal, its digest is stable, and nothing else gets in."""

import copy
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

import comity as co
from comity.engine.names import public_name, reference
from comity.values.errors import ComityError, InvalidInput, NotSupported
from comity.values.strategy import SeesEach, Strategy

LINEAR = co.numpy.Linear(3, loss="logistic")
TRAIN = co.Train(optimizer=co.SGD(lr=0.1), steps=4)

ARGUMENTS = {
    "FedPer": {"personal": ("weight",)},
    "SharedTrunk": {"trunk": ("weight",)},
    "FedAvg": {"server_lr": 0.5, "sites_per_round": 3},
    "Histogram": {"edges": (0, 0.5, 1)},
    "KaplanMeier": {"times": (1, 2.5)},
    "Quantiles": {"q": (0.1, 0.9)},
    "CoxRegression": {"l2": 0.1, "ties": "breslow"},
    "PCA": {"components": 3},
}
STRATEGIES = {name: getattr(co.strategies, name)(**ARGUMENTS.get(name, {})) for name in co.strategies.__all__}
METRICS = {name: getattr(co.metrics, name) for name in co.metrics.__all__ if name[0].islower()}

USER = '''
from dataclasses import dataclass, field
from typing import final
import numpy as np
import comity as co
from comity.strategies.fedavg import FedAvg, State

def error(y, predictions):
    return float(np.abs(y - predictions).mean())

def init(generator):
    return {"w": np.zeros(3)}

def gradient(params, x, y):
    return {"w": np.zeros(3)}, 0.0

def predict(params, x):
    return x @ params["w"]

@final
@dataclass(frozen=True)
class Halved(co.Strategy):
    """FedAvg at half speed."""
    times: dict = field(default_factory=dict)
    factor: float = 0.5
    halves: tuple = (1, 2)
    def __post_init__(self):
        min(self.halves)
    def init(self, params, network):
        return State(params, {})
    def local(self, state, memory, site):
        return FedAvg().local(state, memory, site)
    def step(self, state, total):
        return FedAvg(server_lr=self.factor).step(state, total)
'''


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "their_model.py").write_text(USER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_model", raising=False)
    return importlib.import_module("their_model")


def of(strategy: Strategy | SeesEach, **others) -> co.Experiment:
    if strategy.needs:
        others = {"model": LINEAR, "train": TRAIN, **others}
    return co.Experiment(strategy=strategy, **others)


def assert_comes_back(experiment: co.Experiment) -> None:
    text = experiment.to_json()
    back = co.read_experiment(text)
    assert back == experiment
    assert repr(back) == repr(experiment)
    assert back.digest == experiment.digest
    assert back.to_json() == text


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_every_strategy_comes_back(strategy):
    assert_comes_back(of(strategy))


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_comes_back(metric):
    assert_comes_back(of(co.FedAvg(), metrics=[metric], best=metric.name, stop=co.EarlyStopping(metric.name)))


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        (co.numpy.Linear(3), co.Adam(lr=0.01, weight_decay=0.1)),
        (co.numpy.Linear(3, loss="softmax", outputs=4), co.SGD(lr=1.0, momentum=0.9, nesterov=True)),
        (co.numpy.Linear(13, loss="logistic"), co.SGD(lr=0.003)),
    ],
)
def test_models_and_recipes_come_back(model, optimizer):
    assert_comes_back(
        co.Experiment(
            model=model,
            train=co.Train(optimizer=optimizer, batch_size=0, epochs=2),
            strategy=co.FedAvg(),
            rounds=15,
            seed=2**62 + 1,
            quorum=0.5,
            evaluate_every=5,
        )
    )


def test_a_torch_model_with_torchs_optimizer_comes_back(tmp_path, monkeypatch):
    (tmp_path / "their_net.py").write_text(
        "from torch import nn\n\ndef net():\n    return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    net = importlib.import_module("their_net").net
    scheduler = co.torch.Scheduler(torch.optim.lr_scheduler.StepLR, step_size=10, gamma=0.5)
    optimizer = co.torch.Optimizer(torch.optim.AdamW, lr=0.001, scheduler=scheduler)
    made = co.Experiment(
        model=co.torch.Model(net, loss=binary_cross_entropy_with_logits, batch_norm="freeze"),
        train=co.Train(optimizer=optimizer, steps=3),
        strategy=co.FedAvg(),
    )
    assert_comes_back(made)
    document = json.loads(made.to_json())
    assert document["model"]["loss"] == {
        "callable": "torch.nn.functional:binary_cross_entropy_with_logits",
        "distribution": f"torch {torch.__version__}",
    }
    assert document["model"]["net"]["callable"] == "their_net:net"
    assert document["model"]["net"]["source"].startswith("sha256:")
    assert "idle" not in document["model"]


def test_users_own_functions_and_classes_come_back(user):
    model = co.numpy.Model(user.init, user.gradient, user.predict)
    made = of(user.Halved(times={"a": 1}), model=model, train=TRAIN, metrics=[user.error])
    assert_comes_back(made)
    kind = json.loads(made.to_json())["strategy"]["type"]
    assert kind == reference(user.Halved)
    assert kind["callable"] == "their_model:Halved"


def test_digests_stay_what_they_are():
    # Pinned: what changes one of these changes the name of every experiment ever made.
    heart = co.Experiment(
        model=co.numpy.Linear(13, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=3e-3), batch_size=4, steps=100),
        strategy=co.FedAvg(),
        metrics=[co.metrics.accuracy, co.metrics.auc],
        rounds=15,
        seed=42,
    )
    assert heart.to_json() == (
        '{"metrics":[{"type":"metrics.Accuracy"},{"type":"metrics.Auc"}],'
        '"model":{"features":13,"loss":"logistic","type":"numpy.Linear"},"rounds":15,"seed":42,'
        '"strategy":{"type":"strategies.FedAvg"},'
        '"train":{"batch_size":4,"optimizer":{"lr":0.003,"type":"SGD"},"steps":100,"type":"Train"},'
        '"type":"Experiment"}'
    )
    assert heart.digest == "sha256:eb5d70fdd4f83227d345409b5eb983aa5d96b9a18ca7d15846a1ac2b5322ec6b"


def test_equal_experiments_have_equal_digests():
    assert of(co.FedAvg(server_lr=1), quorum=1.0) == of(co.FedAvg(), quorum=1)
    assert of(co.FedAvg(server_lr=1), quorum=1.0).digest == of(co.FedAvg(), quorum=1).digest
    assert of(co.FedAvg(server_lr=2)).digest == of(co.FedAvg(server_lr=2.0)).digest
    assert of(co.FedAvg(), seed=1).digest != of(co.FedAvg(), seed=2).digest


def test_fields_at_their_default_are_left_out():
    assert json.loads(of(co.strategies.CoxRegression()).to_json()) == {
        "type": "Experiment",
        "strategy": {"type": "strategies.CoxRegression"},
        "rounds": 100,
    }


def test_another_version_of_the_users_module_is_another_experiment(user, tmp_path):
    made = of(co.FedAvg(), metrics=[user.error])
    text, before = made.to_json(), made.digest
    path = Path(user.__file__)
    path.write_text(USER.replace("np.abs", "np.square"))
    assert made.digest != before
    with pytest.raises(InvalidInput, match=r"their_model:error is here as .* but the experiment was made with"):
        co.read_experiment(text)


def closure():
    held = 1

    def inside(y, predictions):
        return float(held)

    return inside


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (
            lambda y, predictions: 0.0,
            "'<lambda>' cannot be named from outside; write it as a top-level def in a module",
        ),
        (closure(), "'closure.<locals>.inside' cannot be named from outside; write it as a top-level def in a module"),
        ("".join, "'str.join' cannot be named from outside"),
        (max, "builtins:max has no source that could be read; wrap it in a def of your own"),
    ],
    ids=["lambda", "closure", "bound method", "builtin"],
)
def test_callables_without_a_name_are_refused_in_one_sentence(function, sentence):
    made = of(co.FedAvg(), metrics=[co.metrics.Mean(function)])
    with pytest.raises(NotSupported) as caught:
        made.to_json()
    assert sentence in str(caught.value)
    with pytest.raises(NotSupported):
        _ = made.digest


def test_what_the_script_itself_defines_is_refused(monkeypatch):
    def error(y, predictions):
        return 0.0

    error.__module__, error.__qualname__ = "__main__", "error"
    monkeypatch.setattr(sys.modules["__main__"], "error", error, raising=False)
    with pytest.raises(NotSupported, match="error is defined in the script itself; move it to a module beside it"):
        of(co.FedAvg(), metrics=[error]).to_json()


@final
class Plainly(co.Metric):
    """A metric that is no dataclass."""

    name = "plainly"

    def local(self, predictions, rows): ...
    def finish(self, total): ...


def test_a_class_without_fields_is_refused():
    with pytest.raises(NotSupported, match="a Plainly cannot be written as JSON"):
        of(co.FedAvg(), metrics=[Plainly()]).to_json()


def test_keys_that_mean_something_here_are_refused(user):
    for key in ("type", "callable", 3):
        with pytest.raises(NotSupported, match="cannot be written as JSON here"):
            of(user.Halved(times={key: 1}), model=LINEAR, train=TRAIN).to_json()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "this is not the JSON of an experiment"),
        ("[", "this is not the JSON of an experiment"),
        ("[" * 100_000, "this is not the JSON of an experiment"),
        ('{"type":' * 900 + "1" + "}" * 900, ""),
        (None, "this is not the JSON of an experiment"),
        ("3", "this is an int, not an experiment"),
        ('{"type":"strategies.FedAvg"}', "this is a FedAvg, not an experiment"),
        ('{"type":"Experiment"}', "Experiment needs strategy, which is not given"),
        ('{"type":"Experimnt"}', "did you mean 'Experiment'?"),
        ('{"type":"strategies.FedAvgg"}', "did you mean 'FedAvg'?"),
        ('{"type":"os.system"}', "there is no type 'os.system'"),
        ('{"type":"Any"}', "there is no type 'Any'"),
        ('{"type":"__class__"}', "there is no type '__class__'"),
        ('{"type":"numpy.SGD","lr":1}', "there is no type 'SGD'"),
        ('{"type":"Strategy"}', "there is no type 'Strategy'"),
        ('{"type":"ComityError"}', "there is no type 'ComityError'"),
        ('{"type":3}', "3 names no class with fields"),
        ('{"type":{"callable":"os:getcwd"}}', "posix:getcwd has no source"),
        ('{"callable":"nowhere_at_all:f"}', "nowhere_at_all:f is not here (No module named 'nowhere_at_all')"),
        ('{"callable":"json:dump"}', "json:dump is here as"),
        ('{"callable":"json:nothing"}', "json:nothing is not here"),
        ('{"callable":"json:__doc__"}', "json:__doc__ is a str and cannot be called"),
        ('{"callable":".json:dumps"}', "a callable is named as module:name, not '.json:dumps'"),
        ('{"callable":"json"}', "a callable is named as module:name, not 'json'"),
        ('{"callable":7}', "a callable is named as module:name, not '7'"),
        ('{"type":"Experiment","rouns":3}', "Experiment has no field 'rouns'; its fields are strategy, model"),
        ('{"type":"Experiment","strategy":{"type":"strategies.FedAvg","server_lr":"fast"}}', "server_lr must be a"),
        ('{"type":"Experiment","strategy":{"type":"strategies.Histogram","edges":4}}', "edges must be a list"),
        ('{"type":"Experiment","strategy":{"type":"strategies.CoxRegression"},"rounds":"3"}', "a whole number"),
        ('{"type":"Experiment","strategy":{"type":"strategies.CoxRegression"},"rounds":"x"}', "a whole number"),
        ('{"type":"Experiment","strategy":{"type":"strategies.CoxRegression"},"rounds":NaN}', "a whole number"),
        ('{"type":"torch.Model","net":1,"loss":2,"idle":[]}', "Model has no field 'idle'"),
    ],
)
def test_what_is_no_experiment_is_refused(text, sentence):
    with pytest.raises(ComityError) as caught:
        co.read_experiment(text)
    assert sentence in str(caught.value)


VALID = [
    json.loads(of(strategy, metrics=[co.metrics.auc], best="auc", stop=co.EarlyStopping("auc")).to_json())
    for strategy in STRATEGIES.values()
]
WORDS = [
    *(public_name(type(each)) for each in [*STRATEGIES.values(), *METRICS.values(), TRAIN, TRAIN.optimizer, LINEAR]),
    *("Experiment", "Run", "Rows", "Site", "torch", "torch.Model", "numpy.Model", "strategies.", ".", "json:dumps"),
    *("type", "callable", "source", "distribution", "strategy", "model", "metrics", "rounds", "lr", "features", "q"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=8,
)


def places(document, path=()):
    yield path
    for key in document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ():
        yield from places(document[key], (*path, key))


@st.composite
def mutated(draw):
    document = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(document) if path] or [()]))
        if not path:
            return draw(ANYTHING)
        node = document
        for key in path[:-1]:
            node = node[key]
        if draw(st.booleans()):
            node[path[-1]] = draw(ANYTHING)
        elif isinstance(node, dict):
            node[draw(st.sampled_from(WORDS))] = node.pop(path[-1])
    return document


@settings(max_examples=400, deadline=None)
@given(mutated() | ANYTHING)
def test_whatever_a_document_says_only_our_errors_come_out(document):
    try:
        made = co.read_experiment(json.dumps(document))
    except ComityError:
        return
    assert co.read_experiment(made.to_json()).to_json() == made.to_json()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.binary(max_size=40))
def test_whatever_text_is_given_only_our_errors_come_out(text):
    with pytest.raises(ComityError):
        co.read_experiment(text)


def test_reading_imports_nothing_but_what_is_named():
    assert "this" not in sys.modules  # a module of the interpreter that prints when it is imported
    with pytest.raises(InvalidInput):
        co.read_experiment('{"type":"Experiment","strategy":{"type":"this.s"},"seed":"this:s"}')
    assert "this" not in sys.modules


def test_a_misfit_is_seen_before_anything_is_called(user):
    document = json.loads(of(user.Halved(), model=LINEAR, train=TRAIN).to_json())
    document["strategy"]["type"]["source"] = "sha256:" + 64 * "0"
    with pytest.raises(InvalidInput, match="their_model:Halved is here as"):
        co.read_experiment(json.dumps(document))


def test_what_a_class_cannot_take_is_refused(user):
    document = json.loads(of(user.Halved(halves=(3,)), model=LINEAR, train=TRAIN).to_json())
    document["strategy"]["halves"] = 3
    with pytest.raises(InvalidInput, match="Halved cannot be made of these fields: 'int' object is not iterable"):
        co.read_experiment(json.dumps(document))


def test_rounds_are_part_of_the_digest():
    assert replace(of(co.FedAvg()), rounds=2).digest != of(co.FedAvg()).digest
