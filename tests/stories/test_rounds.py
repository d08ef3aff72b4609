"""Rounds of an experiment on a network in which processes die, sites fall silent, and code misbehaves."""

import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
from bench.chaos.network import started

import comity as co
from comity.sdk.client import Client, embedded
from comity.sdk.network import Network
from comity.values.errors import InvalidInput, RoundFailed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")

NAMES = ["org1", "org2", "org3", "org4"]
ON = dict.fromkeys(NAMES, "heart")

HEART = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=100),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy, co.metrics.auc],
    rounds=3,
    evaluate_every=3,
    seed=42,
)

WILD = """
from dataclasses import dataclass
from pathlib import Path
from typing import final
import os
import numpy as np
import comity as co
from comity.values.model import Ability

@final
@dataclass(frozen=True)
class State:
    params: co.tree.Tree

@final
@dataclass(frozen=True)
class Wild(co.Strategy):
    "FedAvg, but for what org3 does."

    does: str = ""
    needs = frozenset({Ability.FIT})

    def init(self, params, network):
        return State(params)

    def local(self, state, memory, site):
        fit = site.fit(state.params)
        update = co.tree.scale(co.tree.sub(fit.params, state.params), fit.rows)
        if site.name == "org3":
            if self.does == "raises":
                raise ValueError("the scanner's unit is missing")
            if self.does == "dies":
                os.kill(os.getpid(), 9)
            if self.does == "nan":
                update = co.tree.map(lambda leaf: leaf * np.nan, update)
            if self.does == "shape":
                update = co.tree.map(lambda leaf: np.zeros((2, 2)), update)
        return co.Contribution(update, fit.rows), memory

    def step(self, state, total):
        return State(co.tree.like(co.tree.axpy(1.0, total.mean(), state.params), state.params))
"""


def sites(names=NAMES):
    given = zip(NAMES, co.data.heart(), strict=True)
    return [replace(site, name=name) for name, site in given if name in names]


@contextmanager
def network_in(folder):
    """A network of four, each with its rows, that may be killed; and what org1's user does with it."""
    with started(folder, 4) as running:
        for site in sites():
            client = Client(lambda name=site.name: embedded(folder, name))
            if all(each["owner"] != site.name for each in client.pages("/data_manager/")):
                Network(client).register("heart", site, authorize=["org1"], logs=["org1"])
            client.close()
        client = Client(lambda: embedded(folder, "org1"))
        yield running, Network(client)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One network for all stories after which it stands as before."""
    with network_in(tmp_path_factory.mktemp("rounds") / "network") as made:
        yield made


@pytest.fixture(scope="module")
def calm():
    """The undisturbed run."""
    return co.simulate(HEART, sites())


@pytest.fixture
def wild(tmp_path, monkeypatch):
    """The experiment with an odd strategy, in a module of the user's own."""
    (tmp_path / "wild.py").write_text(WILD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wild", raising=False)
    import wild

    return lambda does, **given: replace(HEART, strategy=wild.Wild(does=does), **{"rounds": 2, **given})


def is_open(shown, number):
    """Whether a round has begun, and is not closed."""
    return any(each["number"] == number and not each["closed"] for each in shown["rounds"])


def disturbed(running, strike):
    """The run, struck once in its second round."""
    struck = []

    def observe(shown):
        if not struck and is_open(shown, 2):
            struck.append(strike())

    made = running.wait(observe)
    assert struck
    return made


@pytest.mark.parametrize("victim", ["org1", "hub", "org3"])
def test_who_is_killed_in_mid_round_changes_nothing(shared, calm, victim):
    network, user = shared
    made = disturbed(user.begin(HEART, ON), lambda: network.kill(network.daemons()[victim]))
    assert made.digest == calm.digest
    assert [each.included for each in made.history] == [each.included for each in calm.history]


def test_everything_is_killed_and_started_again(tmp_path, calm):
    folder = tmp_path / "network"
    with network_in(folder) as (network, user):
        running = user.begin(HEART, ON)
        next(shown for shown in running.watch() if is_open(shown, 2))
        daemons = network.daemons()
        os.kill(network.pid, signal.SIGKILL)  # its daemons die with it
        for pid in daemons.values():
            wait_for_end(pid)
    with network_in(folder) as (network, user):
        made = user.attach(running.key).wait()
        assert made.digest == calm.digest
        assert [each.included for each in made.history] == [each.included for each in calm.history]


def wait_for_end(pid):
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        select.select([handle], [], [], 30)
    finally:
        os.close(handle)


@contextmanager
def silent(network, name):
    """A site that does not answer, until the end."""
    pid = network.daemons()[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_site_that_is_gone_past_the_deadline_is_left_out_and_taken_in_again(shared):
    network, user = shared
    running = user.begin(replace(HEART, quorum=3, rounds=8), ON, deadline=1.5)
    watch = running.watch()
    with silent(network, "org3"):
        shown = next(each for each in watch if each["rounds"] and each["rounds"][0]["closed"])
        assert [each["site"] for each in shown["rounds"][0]["parts"] if not each["included"]] == ["org3"]
    made = running.wait()
    assert made.history[0].missing == ("org3",)
    assert () in [each.missing for each in made.history]
    assert len(made.history) == 8


def test_without_a_quorum_it_waits_says_so_and_goes_on(shared, calm):
    network, user = shared
    running = user.begin(replace(HEART, quorum=4), ON, deadline=0.5)
    with silent(network, "org3"):
        said = ["org3, without which round 1 has no quorum"]
        shown = next(each for each in running.watch() if each["waiting_for"] == said)
        assert shown["status"] == "PLAN_STATUS_DOING"
    assert running.wait().digest == calm.digest


def test_an_error_at_one_site_is_named_and_the_others_go_on(shared, wild):
    _, user = shared
    running = user.begin(wild("raises"), ON, retries=1)
    made = running.wait()
    assert [each.missing for each in made.history] == [("org3",), ("org3",)]
    assert [each.attempts for each in made.history] == [2, 2]
    failure = running.failures()[0]
    assert (failure.site, failure.round, failure.stage, failure.error) == ("org3", 2, "local", "EXECUTION_ERROR")
    assert "wild.py" in failure.log
    assert "the scanner's unit is missing" in failure.log


def test_an_error_at_a_site_that_the_quorum_needs_ends_the_run_with_its_words(shared, wild):
    _, user = shared
    with pytest.raises(RoundFailed, match=r"local of round 1 at org3.*the scanner's unit is missing"):
        user.run(wild("raises", quorum=4), ON, retries=0)


def test_what_does_not_fit_the_others_ends_the_run_by_its_name(shared, wild):
    _, user = shared
    with pytest.raises(RoundFailed, match=r"part of org3 does not fit those of the others.*shape of 'total/"):
        user.run(wild("shape"), ON)


@pytest.mark.parametrize(("does", "said"), [("nan", "not finite"), ("dies", "3 attempts were lost")])
def test_a_site_that_leaves_nothing_of_use_is_named_and_the_others_go_on(shared, wild, does, said):
    _, user = shared
    running = user.begin(wild(does, quorum=3), ON, retries=0)
    made = running.wait()
    failure = running.failures()[0]
    assert (failure.site, failure.round, failure.stage) == ("org3", 2, "local")
    assert said in failure.log
    assert [each.missing for each in made.history] == [("org3",), ("org3",)]
    assert made.digest == co.simulate(wild(""), sites(["org1", "org2", "org4"])).digest


@pytest.mark.parametrize("strategy", [co.Scaffold(), pytest.param(co.strategies.Ditto(), marks=pytest.mark.long)])
def test_rounds_are_added_to_a_run_as_if_it_had_never_ended(shared, strategy):
    _, user = shared
    experiment = replace(HEART, strategy=strategy, evaluate_every=1)
    whole = co.simulate(experiment, sites())
    first = user.begin(replace(experiment, rounds=2), ON)
    first.wait()
    more = user.resume(first.key, rounds=HEART.rounds)
    made = more.wait()
    assert made.digest == whole.digest
    assert [each.pooled for each in made.history] == [each.pooled for each in whole.history]
    with pytest.raises(InvalidInput, match="has done 3 rounds"):
        user.resume(more.key)


def test_a_cancelled_run_is_taken_up_where_it_ended(shared, calm):
    _, user = shared
    running = user.begin(HEART, ON)
    next(shown for shown in running.watch() if shown["rounds"] and shown["rounds"][0]["state"])
    running.cancel()
    with pytest.raises(RoundFailed, match="was cancelled after"):
        running.wait()
    assert user.resume(running.key).wait().digest == calm.digest


def test_a_run_starts_from_a_model_of_an_earlier_one(shared, tmp_path):
    _, user = shared
    first = replace(HEART, rounds=1)
    co.simulate(first, sites()).save(tmp_path / "report")
    model = user.attach(user.begin(first, ON).key)
    made = model.wait()
    key = model.now()["rounds"][-1]["state"]
    short = replace(HEART, rounds=1, seed=7)
    runs = [user.run(short, ON, start=start) for start in (key, tmp_path / "report", made.model)]
    assert len({run.digest for run in runs}) == 1
    assert runs[0].digest != user.run(short, ON).digest
