"""Laws of the engines: Plain is the same to the bit, Auto equals it to a tolerance, and neither hides an error."""

import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

import comity as co
from comity.values import codec, tree
from comity.values.errors import InvalidInput
from comity.values.model import Ability

FEATURES = 3
STRATEGIES: dict[str, Any] = {
    "FedAvg": co.FedAvg(),
    "FedAvg, momentum": co.FedAvg(server_momentum=0.9),
    "FedAvg, sampled": co.FedAvg(sites_per_round=5),
    "FedProx": co.FedProx(mu=0.1),
    "FedAdam": co.FedAdam(),
    "FedYogi": co.strategies.FedYogi(),
    "FedAdagrad": co.strategies.FedAdagrad(),
    "Scaffold": co.Scaffold(),
    "Scaffold, sampled": co.Scaffold(sites_per_round=5),
    "FedNova": co.strategies.FedNova(),
    "FedDyn": co.strategies.FedDyn(),
    "Cyclic": co.strategies.Cyclic(),
    "FedPer": co.strategies.FedPer(personal=("bias",)),
    "FedBN": co.strategies.FedBN(),
    "Ditto": co.strategies.Ditto(),
    "SharedTrunk": co.strategies.SharedTrunk(trunk=("weight",)),
    "Median": co.strategies.Median(),
    "TrimmedMean": co.strategies.TrimmedMean(trim=1),
    "Krum": co.strategies.Krum(),
}


def net() -> nn.Module:
    return nn.Linear(FEATURES, 1)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


MODELS: dict[str, Any] = {
    "numpy": co.numpy.Linear(FEATURES, loss="logistic"),
    "torch": co.torch.Model(net, loss=binary_cross_entropy_with_logits),
}
ENGINES: dict[str, Any] = {"Plain": co.Plain(), "Auto": co.Auto()}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)


def site(name: str, seed: int) -> co.Site:
    generator = np.random.default_rng(seed)
    rows = 20 + 3 * seed
    x = generator.normal(size=(rows, FEATURES))
    y = (x[:, 0] + generator.normal(size=rows) > 0).astype(float)
    return co.Site(name, (x, y), (x[:5], y[:5]))


SITES = [site(name, seed) for seed, name in enumerate("gcaefbd")]


def experiment(strategy: Any, model: Any) -> co.Experiment:
    if isinstance(strategy, co.strategies.FedBN):
        model = co.torch.Model(normed, loss=binary_cross_entropy_with_logits, batch_norm="average")
    train = co.Train(optimizer=co.SGD(lr=0.1), batch_size=8, steps=3)
    return co.Experiment(
        model=model,
        train=train,
        strategy=strategy,
        rounds=4,
        seed=3,
        metrics=[co.metrics.accuracy, co.metrics.log_loss],
    )


def assert_close(first: Any, second: Any) -> None:
    tree.same_paths(first, second)
    for path, leaf in tree.flatten(first).items():
        np.testing.assert_allclose(leaf, tree.flatten(second)[path], rtol=1e-4, atol=1e-5, err_msg=path)


@each_model
@each_strategy
def test_plain_is_the_same_to_the_bit(strategy, model):
    first = co.simulate(experiment(strategy, model), SITES)
    again = co.simulate(experiment(strategy, model), SITES)
    turned = co.simulate(experiment(strategy, model), SITES[::-1])
    lazy = co.simulate(experiment(strategy, model), {each.name: lambda each=each: each for each in SITES})
    for other in (again, turned, lazy):
        assert other.digest == first.digest
        assert [replace(each, seconds=0) for each in other.history] == [replace(e, seconds=0) for e in first.history]
        assert all(codec.digest(other.memory(name)) == codec.digest(first.memory(name)) for name in first.sites)


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from test_engines import MODELS, SITES, STRATEGIES, experiment
import comity as co
for name in {names!r}:
    for model in MODELS.values():
        print(co.simulate(experiment(STRATEGIES[name], model), SITES).digest)
"""


def test_plain_is_the_same_in_every_process():
    names = ["FedAvg, momentum", "Scaffold, sampled", "Ditto", "SharedTrunk"]
    script = SCRIPT.format(folder=__file__.rpartition("/")[0], names=names)
    environments = [os.environ | {"PYTHONHASHSEED": number, "OMP_NUM_THREADS": number} for number in "12"]
    told = [
        subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        for environment in environments
    ]
    here = [
        co.simulate(experiment(STRATEGIES[name], model), SITES).digest for name in names for model in MODELS.values()
    ]
    assert told[0].stdout.split() == told[1].stdout.split() == here


@each_model
@each_strategy
def test_auto_equals_plain_to_a_tolerance(strategy, model):
    plain = co.simulate(experiment(strategy, model), SITES)
    auto = co.simulate(experiment(strategy, model), SITES, engine=co.Auto())
    assert_close(auto.model, plain.model)
    for name in plain.sites:
        assert_close(auto.memory(name), plain.memory(name))
    for metric in ("accuracy", "log_loss"):
        np.testing.assert_allclose(auto.series(metric)[1], plain.series(metric)[1], rtol=1e-3)
    assert auto.engine["engine"] == "Auto(device='cpu')"


def test_auto_says_how_it_trained():
    plain = co.simulate(experiment(co.FedAvg(), MODELS["torch"]), SITES)
    auto = co.simulate(experiment(co.FedAvg(), MODELS["torch"]), SITES, engine=co.Auto())
    assert plain.engine["trainings"] == {"one by one": 28}
    assert auto.engine["trainings"] == {"together": 28}


@each_engine
def test_a_single_site_of_a_round_is_trained(engine):
    run = co.simulate(experiment(co.strategies.Cyclic(), MODELS["torch"]), SITES[:1], engine=engine)
    assert run.engine["trainings"] == {"one by one": 4}


def test_more_sites_than_run_together_are_trained_all_the_same(monkeypatch):
    monkeypatch.setattr("comity.engine.auto.AT_ONCE", 3)
    plain = co.simulate(experiment(STRATEGIES["Ditto"], MODELS["torch"]), SITES)
    auto = co.simulate(experiment(STRATEGIES["Ditto"], MODELS["torch"]), SITES, engine=co.Auto())
    assert_close(auto.model, plain.model)
    assert all(not thread.name.startswith("ThreadPool") for thread in threading.enumerate())


# Errors


class Stranger(Exception):
    """An exception of the user's own."""


@final
@dataclass(frozen=True)
class Faulty(co.Strategy):
    """FedAvg that fails at one site: before, between or after two trainings, or while it sums."""

    when: str
    at: str = "c"
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def init(self, params, network):
        return co.FedAvg().init(params, network)

    def local(self, state, memory, site):
        return self._summing(state, site) if self.when == "summing" else self._plainly(state, memory, site)

    def _plainly(self, state, memory, site):
        self._fail("before", site)
        first = co.FedAvg().local(state, memory, site)
        self._fail("between", site)
        site.fit(state.params)
        self._fail("after", site)
        return first

    def _summing(self, state, site):
        total = yield co.Contribution({"n": np.ones(1)}, 1)
        self._fail("summing", site)
        return co.Contribution(tree.zeros_like(state.params), total.weight), {}

    def _fail(self, when, site):
        if (self.when, self.at) == (when, site.name):
            raise Stranger("the user's own words")

    def step(self, state, total):
        return co.FedAvg().step(state, total)


@each_engine
@each_model
@pytest.mark.parametrize("when", ["before", "between", "after", "summing"])
def test_an_error_at_a_site_keeps_its_type_and_names_the_site(engine, model, when):
    with pytest.raises(Stranger, match="the user's own words") as caught:
        co.simulate(experiment(Faulty(when), model), SITES, engine=engine)
    assert caught.value.__notes__ == ["at site 'c' in round 1"]
    assert not [thread for thread in threading.enumerate() if thread is not threading.main_thread()]


@each_engine
@each_model
def test_rows_that_cannot_be_trained_on_are_blamed_on_their_site(engine, model):
    bad = co.Site("b", (np.full((20, FEATURES), np.nan), np.ones(20)))
    with pytest.raises(Exception, match="not finite") as caught:
        co.simulate(experiment(co.FedAvg(), model), [each for each in SITES if each.name != "b"] + [bad], engine=engine)
    assert isinstance(caught.value, co.ComityError)
    assert caught.value.__notes__ == ["at site 'b' in round 1"]


@each_engine
def test_a_loader_that_fails_is_named(engine):
    def gone() -> co.Site:
        raise FileNotFoundError("no such file")

    lazy = {**{each.name: lambda each=each: each for each in SITES}, "z": gone}
    with pytest.raises(FileNotFoundError) as caught:
        co.simulate(experiment(co.FedAvg(), MODELS["torch"]), lazy, engine=engine)
    assert caught.value.__notes__ == ["at site 'z' in round 1"]


@each_engine
def test_a_site_is_loaded_once_a_round(engine):
    loaded = []

    def load(each):
        loaded.append(each.name)
        return each

    twice = replace(experiment(co.strategies.Ditto(), MODELS["torch"]), metrics=())
    co.simulate(twice, {each.name: lambda each=each: load(each) for each in SITES}, engine=engine)
    assert loaded == 4 * sorted(each.name for each in SITES)


@each_engine
def test_a_metric_that_fails_is_named(engine):
    def failing(y, predictions):
        raise Stranger("in a metric")

    with pytest.raises(Stranger) as caught:
        co.simulate(replace(experiment(co.FedAvg(), MODELS["numpy"]), metrics=[failing]), SITES, engine=engine)
    assert caught.value.__notes__ == ["while evaluating at site 'a'"]


@final
@dataclass(frozen=True)
class Interrupted(co.Strategy):
    """FedAvg during which the user presses Ctrl-C while a model is trained."""

    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

    def init(self, params, network):
        return co.FedAvg().init(params, network)

    def local(self, state, memory, site):
        site.fit(state.params)
        return co.FedAvg().local(state, memory, site)

    def step(self, state, total):
        return co.FedAvg().step(state, total)


@each_engine
def test_ctrl_c_during_a_training_ends_the_run_and_every_thread(engine, monkeypatch):
    calls = []

    def pressed(self, training):
        calls.append(training)
        raise KeyboardInterrupt

    monkeypatch.setattr(co.numpy.Linear, "fit", pressed)
    with pytest.raises(KeyboardInterrupt):
        co.simulate(experiment(Interrupted(), MODELS["numpy"]), SITES, engine=engine)
    assert len(calls) == 1
    assert not [thread for thread in threading.enumerate() if thread is not threading.main_thread()]


@each_engine
def test_sites_that_step_unalike_are_refused(engine):
    uneven = experiment(STRATEGIES["SharedTrunk"], MODELS["numpy"])

    @final
    @dataclass(frozen=True)
    class Sometimes(co.Strategy):
        needs: ClassVar[frozenset[Ability]] = frozenset({Ability.FIT})

        def init(self, params, network):
            return co.FedAvg().init(params, network)

        def local(self, state, memory, site):
            plain = co.FedAvg().local(state, memory, site)
            return plain if site.name == "c" else self._summing(plain)

        def _summing(self, plain):
            yield plain[0]
            return plain

        def step(self, state, total):
            return co.FedAvg().step(state, total)

    with pytest.raises(InvalidInput, match="some sites sum at every step of this round and others do not"):
        co.simulate(replace(uneven, strategy=Sometimes()), SITES, engine=engine)


def test_cuda_is_refused_where_there_is_none():
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(co.ComityError, match="no CUDA device"):
        co.simulate(experiment(co.FedAvg(), MODELS["torch"]), SITES, engine=co.Auto(device="cuda"))
    with pytest.raises(co.ComityError, match="runs on cpu only"):
        co.simulate(experiment(co.FedAvg(), MODELS["numpy"]), SITES, engine=co.Auto(device="cuda"))


def test_an_engines_class_is_no_engine():
    with pytest.raises(InvalidInput, match=r"give the engine itself, co\.Auto\(\), not its class"):
        co.simulate(experiment(co.FedAvg(), MODELS["numpy"]), SITES, engine=co.Auto)  # type: ignore[arg-type]
