"""Rounds whose sums are masked, on a network in which processes die and sites fall silent."""

import json
import os
import signal
import sqlite3
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from bench.chaos.network import started

import comity as co
from comity.sdk.client import Client, embedded
from comity.sdk.network import Network
from comity.values.errors import NotSupported, RoundFailed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")

SITES = ["org1", "org2", "org3", "org4"]
ADDS = "org5"
ON = dict.fromkeys(SITES, "heart")

HEART = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=100),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy, co.metrics.auc],
    rounds=3,
    seed=42,
    privacy=[co.privacy.SecureSum(clip=1.0, max_weight=1000)],
)


def sites():
    return [replace(site, name=name) for name, site in zip(SITES, co.data.heart(), strict=True)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Four hospitals and one organization that adds, and org1's user."""
    folder = tmp_path_factory.mktemp("masked") / "network"
    with started(folder, 5) as running:
        for site in sites():
            client = Client(lambda name=site.name: embedded(folder, name))
            Network(client).register("heart", site, authorize=["org1"], logs=["org1"])
            client.close()
        client = Client(lambda: embedded(folder, "org1"))
        yield running, Network(client)
        client.close()


@pytest.fixture(scope="module")
def in_the_clear():
    return co.simulate(replace(HEART, privacy=()), sites())


@contextmanager
def silent(network, name):
    """A site that does not answer, until the end."""
    pid = network.daemons()[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def near(made, clear, rounds):
    """The same but for the rounding of the sums: a step of a mean is off by less than `error` over all rows."""
    off = rounds * made.history[-1].error
    for path, leaf in co.tree.flatten(made.state.params).items():
        np.testing.assert_allclose(leaf, co.tree.flatten(clear.state.params)[path], rtol=0, atol=1e3 * off)
    assert made.scores("auc")[1] == pytest.approx(clear.scores("auc")[1], abs=1e-9)


def test_masked_rounds_come_to_what_rounds_in_the_clear_do_whoever_is_killed(shared, in_the_clear):
    network, user = shared
    killed = []

    def observe(shown):
        for victim, number in (("org3", 1), (ADDS, 2), ("hub", 3)):
            if victim not in killed and any(
                each["number"] == number and not each["closed"] for each in shown["rounds"]
            ):
                killed.append(victim)
                assert network.kill(network.daemons()[victim])

    running = user.begin(HEART, ON, aggregator=ADDS)
    made = running.wait(observe)
    assert killed == ["org3", ADDS, "hub"]
    assert [each.included for each in made.history] == [tuple(SITES)] * 3
    assert [each.sites for each in made.history] == [{}] * 3  # nobody is told what a single site measured
    near(made, in_the_clear, 3)
    shown = running.now()
    for each in shown["rounds"]:
        for stage in ("sum", "scores"):
            assert (each[stage]["protocol"], each[stage]["status"], each[stage]["roster"]) == ("SA-1", "closed", SITES)
            assert each[stage]["root"]
    assert shown["rounds"][0]["sum"]["root"] != shown["rounds"][1]["sum"]["root"]


def test_a_silent_site_is_done_without_and_no_contribution_reaches_who_adds(shared):
    network, user = shared
    running = user.begin(replace(HEART, rounds=2, quorum=3), ON, aggregator=ADDS, deadline=3.0)
    watch = running.watch()
    with silent(network, "org3"):
        shown = next(each for each in watch if each["rounds"] and each["rounds"][0]["closed"])
        assert [each["site"] for each in shown["rounds"][0]["parts"] if not each["included"]] == ["org3"]
        blobs = contributions(network, running.key)
        assert len(blobs) >= 3
        assert not [blob for blob in blobs if (network.folder / ADDS / "blobs" / blob.partition(":")[2]).exists()]
        assert [blob for blob in blobs if (network.folder / "org2" / "blobs" / blob.partition(":")[2]).exists()]
    made = running.wait()
    assert made.history[0].missing == ("org3",)
    assert len(made.history) == 2
    secrets = sqlite3.connect(network.folder / "org2" / "node.db").execute("select state from site_sums").fetchall()
    assert secrets
    assert not any(state for (state,) in secrets[:-2])  # what opened masks is gone with its sum


def contributions(network, plan):
    """The digests, in the log as who adds knows it, of what sites gave to be added, and what is not released yet."""
    database = sqlite3.connect(network.folder / ADDS / "node.db")
    models = [json.loads(body) for (body,) in database.execute("select body from model_records")]
    tasks = dict(database.execute("select key, plan from task_records"))
    return [
        each["blob"]
        for each in models
        if each.get("blob") and each["output"] in ("contribution", "scores") and tasks[each["task"]] == plan
    ]


def test_what_cannot_be_summed_securely_is_refused_before_anything_runs(shared):
    _, user = shared
    with pytest.raises(NotSupported, match="at least 3 sites besides the aggregator's own, not 2"):
        user.begin(HEART, dict.fromkeys(SITES[:3], "heart"), aggregator="org1")


def test_a_site_whose_numbers_do_not_fit_is_named(shared):
    _, user = shared
    narrow = replace(HEART, rounds=1, privacy=[co.privacy.SecureSum(clip=1.0, max_weight=100)])
    with pytest.raises(RoundFailed, match=r"at org1: EXECUTION_ERROR: .*whole number up to max_weight=100, not 199"):
        user.begin(narrow, ON, aggregator=ADDS).wait()
