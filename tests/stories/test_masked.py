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


# Noise that sites add to their own parts.

FEATURES = 4000
DP, LESS = (co.privacy.SiteDP(epsilon=epsilon, delta=1e-3, clip=0.5) for epsilon in (5.0, 3.0))
SECURE = co.privacy.SecureSum()
BROAD = replace(
    HEART,
    model=co.numpy.Linear(features=FEATURES, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=1e-12), batch_size=4, steps=1),  # so that nothing but noise moves it
    metrics=(),
    rounds=1,
    privacy=[DP, SECURE],
)
ON_BROAD = dict.fromkeys(SITES, "broad")

POLICY = """
[[rule]]
id = "anything"
datasets = ["heart"]

[[rule]]
id = "noised by sites"
datasets = ["broad"]
secure_sum = true
epsilon = 5.0
delta = 1e-3
unit = "site"

[[budget]]
dataset = "broad"
epsilon = 8.0
delta = 1e-2
unit = "site"
"""


@pytest.fixture(scope="module")
def broad(shared):
    """Rows of many columns at every hospital; org2 has a policy and a budget for its whole site."""
    network, user = shared
    random = np.random.default_rng(0)
    for name in SITES:
        client = Client(lambda name=name: embedded(network.folder, name))
        rows = random.normal(size=(8, FEATURES)), np.array([0.0, 1.0] * 4)
        Network(client).register("broad", co.Site(name, train=rows), authorize=["org1"], logs=["org1"])
        client.close()
    path = network.folder / "org2" / "policy.toml"
    path.with_suffix(".new").write_text(POLICY)
    path.with_suffix(".new").replace(path)
    return network, user


def noise_of(run, sites):
    """What was added to the sum, by how far the model is from where it began."""
    begun = BROAD.model.init(BROAD.seed)
    moved = [sites * (leaf - begun[path]) for path, leaf in run.model.items()]
    return np.concatenate([each.reshape(-1) for each in moved])


def ledger(network):
    (dataset,) = [each for each in network.nodes["org2"].get("/budget/") if each["name"] == "broad"]
    assert dataset["unit"] == "site"
    return [(line["does"], line["epsilon"], line.get("unit", "record")) for line in dataset["lines"]]


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


def test_a_silent_site_is_done_without_and_no_contribution_reaches_who_adds(broad):
    """Nor does noise run out: where sites add it themselves, that of those who remain is enough."""
    network, user = broad
    narrow = [co.privacy.SecureSum(clip=1.0, bits=16, max_weight=1000)]
    running = user.begin(replace(HEART, rounds=2, quorum=3, privacy=narrow), ON, aggregator=ADDS, deadline=3.0)
    noised = user.begin(replace(BROAD, quorum=3, privacy=[LESS, SECURE]), ON_BROAD, aggregator=ADDS, deadline=3.0)
    watch = running.watch()
    with silent(network, "org3"):
        shown = next(each for each in watch if each["rounds"] and each["rounds"][0]["closed"])
        assert [each["site"] for each in shown["rounds"][0]["parts"] if not each["included"]] == ["org3"]
        blobs = contributions(network, running.key)
        assert len(blobs) >= 3
        assert not [blob for blob in blobs if (network.folder / ADDS / "blobs" / blob.partition(":")[2]).exists()]
        assert [blob for blob in blobs if (network.folder / "org2" / "blobs" / blob.partition(":")[2]).exists()]
        run = noised.wait()
    assert run.history[0].missing == ("org3",)
    target = LESS.noise(survivors=3, coordinates=FEATURES + 1, rounds=1).deviation
    assert noise_of(run, 3).var() == pytest.approx(target**2, rel=5 * np.sqrt(2 / FEATURES))
    assert ledger(network)[-2:] == [("charge", 6.0, "record"), ("charge", 3.0, "site")]
    made = running.wait()
    assert made.history[0].missing == ("org3",)
    assert made.history[0].error == 3 * 2.0**-3
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


def test_sites_noise_their_parts_and_no_two_of_them_know_it(broad):
    network, user = broad
    run = user.run(BROAD, ON_BROAD, aggregator=ADDS)
    target = DP.noise(survivors=3, coordinates=FEATURES + 1, rounds=1).deviation
    assert noise_of(run, 4).var() == pytest.approx(4 / 3 * target**2, rel=5 * np.sqrt(2 / FEATURES))
    statement = run.statements["org1"]
    assert (
        statement
        == co.simulate(BROAD, [co.Site(n, train=(np.zeros((2, FEATURES)), [0.0, 1.0])) for n in SITES]).statements[
            "org1"
        ]
    )
    assert 4.9 < statement.epsilon <= 5.0
    assert (statement.unit, statement.accountant, run.history[0].clipped) == ("site", "RDP", 0)
    assert ledger(network)[-4:] == [
        ("reserve", 5.0, "site"),
        ("reserve", 10.0, "record"),  # should the owner have a budget for records one day
        ("charge", 10.0, "record"),
        ("charge", 5.0, "site"),
    ]


def test_an_owner_refuses_less_noise_than_it_demands_and_more_runs_than_it_has_budget_for(broad):
    network, user = broad
    spent = ledger(network)
    whole = replace(BROAD, quorum=4)
    for privacy, said in (
        (
            [SECURE],
            r"ε of a site may be 5 at most, and this has no co\.privacy\.SiteDP under SecureSum",
        ),
        ([replace(DP, epsilon=4.0), SECURE], "would overspend the privacy budget of the dataset: ε by"),
    ):
        with pytest.raises(RoundFailed, match=rf"org2: .*{said}"):
            user.run(replace(whole, privacy=privacy), ON_BROAD, aggregator=ADDS)
    assert ledger(network) == spent
