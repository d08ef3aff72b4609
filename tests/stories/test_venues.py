"""One experiment, three venues, one digest: in this process, on an embedded network, on one started by hand."""

import json
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import comity as co
from comity.sdk.client import Account, Client
from comity.sdk.network import Network
from comity.values.errors import Forbidden

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")

COMITY = str(Path(sys.executable).parent / "comity")

NAMES = ["org1", "org2", "org3", "org4"]
SECONDS = 60.0

HEART = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=100),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy, co.metrics.auc],
    rounds=2,
    seed=42,
)

STRATEGIES = [co.FedAvg(), co.strategies.Ditto(), co.strategies.Cyclic()]
"""Two more are compressed below: one with a memory, and one with more in its state than parameters."""


def sites():
    return [replace(site, name=name) for name, site in zip(NAMES, co.data.heart(), strict=True)]


def survivors():
    regions = co.data.brca()[:4]
    return [replace(site, name=name) for name, site in zip(NAMES, regions, strict=True)]


FEATURES = 416
"""Those of each row, 32 times side by side: an array that is large enough for levels of 8 bits."""


def wide():
    def repeated(rows):
        return np.tile(rows.x, (1, FEATURES // rows.x.shape[1])), rows.y

    return [replace(each, train=repeated(each.train), test=repeated(each.test)) for each in sites()]


WIDE = replace(
    HEART,
    model=co.numpy.Linear(features=FEATURES, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.0002), batch_size=4, steps=20),
    rounds=2,
)

COX = co.Experiment(strategy=co.strategies.CoxRegression(l2=0.01), metrics=[co.metrics.concordance])

EXPERIMENTS = {
    **{type(strategy).__name__: replace(HEART, strategy=strategy) for strategy in STRATEGIES},
    "CoxRegression": COX,
    "QSGD": replace(WIDE, strategy=co.Scaffold(), compression=co.compression.QSGD()),
    "BFloat16": replace(WIDE, strategy=co.FedAdam(server_lr=0.01), compression=co.compression.BFloat16()),
}

DATA = {name: "brca" if each is COX else "wide" if each.compression else "heart" for name, each in EXPERIMENTS.items()}

BY_HAND = {"QSGD"}
"""One whose memory holds more than its strategy's stands for all, on a network whose only difference is its start."""

TWO = NAMES[:2]
"""Who is on that network: each starts by the same commands."""


@pytest.fixture(scope="module")
def data():
    """Of each organization, by the name of its dataset."""
    return {"heart": sites(), "brca": survivors(), "wide": wide()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of the embedded network."""
    return tmp_path_factory.mktemp("embedded") / "network"


@pytest.fixture(scope="module")
def embedded(folder, data):
    """A network on this machine, with each organization's data registered at its own node."""
    with co.up(4, directory=folder) as network:
        for name, given in data.items():
            for site in given:
                network.at(site.name).register(name, site, authorize=["org1"])
        yield network


@pytest.fixture(scope="module")
def begun(embedded):
    """An experiment on it, by name, which is begun once."""
    return cache(lambda name: embedded.begin(EXPERIMENTS[name], dict.fromkeys(NAMES, DATA[name])))


def same(run, expected):
    """The same model, the same figures of every round, over all sites and at each."""
    assert run.digest == expected.digest
    assert [each.included for each in run.history] == [each.included for each in expected.history]
    for mine, theirs in zip(run.history, expected.history, strict=True):
        assert (mine.sent, mine.uncompressed) == (theirs.sent, theirs.uncompressed)
        assert mine.pooled == pytest.approx(theirs.pooled, abs=0, nan_ok=True)
        assert {name: pytest.approx(each, abs=0, nan_ok=True) for name, each in mine.sites.items()} == theirs.sites
    assert run.table().records() == expected.table().records()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_embedded_network_comes_to_what_a_simulation_does(begun, folder, data, name):
    running = begun(name)
    run = running.wait()
    same(run, co.simulate(EXPERIMENTS[name], data[DATA[name]]))
    if run.experiment.compression is not None:
        sent, uncompressed = (sum(getattr(each, what) for each in run.history) for what in ("sent", "uncompressed"))
        sizes = contributions(folder, running.key)
        assert len(sizes) == 4 * len(run.history)
        assert sent < sum(sizes) < sent + 700 * len(sizes) < uncompressed  # names and shapes take some hundred bytes


def contributions(folder, plan):
    """Bytes of what sites left to be added, as all members have them in the log: so much is sealed and sent."""
    database = sqlite3.connect(folder / "org1" / "node.db")
    tasks = dict(database.execute("select key, plan from task_records"))
    models = [json.loads(body) for (body,) in database.execute("select body from model_records")]
    return [each["size"] for each in models if each["output"] == "contribution" and tasks[each["task"]] == plan]


def test_nobody_is_given_what_one_site_contributed(embedded, begun):
    """Not even whoever began the experiment, at the node that has added it to the others'."""
    running = begun("FedAvg")
    running.wait()
    for name in NAMES:
        client = embedded.at(name)._client
        tasks = client.pages("/task/", compute_plan_key=running.key)
        for task in (each for each in tasks if each["stage"] in ("local", "evaluate")):
            for left in client.get(f"/task/{task['key']}/output_assets/")["results"]:
                if left["kind"] == "ASSET_MODEL" and task["worker"] != name:
                    with pytest.raises(Forbidden):
                        client.raw(f"/model/{left['asset']['key']}/file/")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory, start_for_all, data):
    """A client of each node of a network started by the commands that docs/howto/deploy.md gives."""
    folder = tmp_path_factory.mktemp("by-hand")
    hub = folder / "hub"
    start_for_all("hub at", "hub", "start", "--dir", hub, "--host", "127.0.0.1", "--port", 0)
    made = {}
    for name, token in json.loads(comity("hub", "invite", *TWO, "--dir", hub, "--json")).items():
        here = folder / name
        password = re.search(r"password (\S+),", comity("node", "join", token, "--dir", here))[1]
        said = start_for_all("at http", "node", "start", "--dir", here, "--port", 0, "--data", folder).said
        url = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        account = Account(url=url, user="admin", password=password)
        made[name] = Client(lambda account=account: account)
    for name, given in data.items():
        for site in given[: len(TWO)]:
            Network(made[site.name]).register(name, site, authorize=["org1"], folder=folder / f"{site.name}-{name}")
    yield made
    for client in made.values():
        client.close()


def comity(*arguments):
    return subprocess.check_output([COMITY, *map(str, arguments)], text=True, timeout=SECONDS)


@pytest.mark.parametrize(
    "name", [name if name in BY_HAND else pytest.param(name, marks=pytest.mark.long) for name in EXPERIMENTS]
)
def test_a_network_started_by_hand_comes_to_what_a_simulation_does(by_hand, data, name):
    """At nodes that let nothing of others run until a steward has read it: once for all these experiments."""
    lasting = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    token = by_hand["org1"].post("/api-token/", {"note": "notebook", "expires_at": lasting})["token"]
    with co.connect(by_hand["org1"].url, token) as network:
        running = network.begin(EXPERIMENTS[name], dict.fromkeys(TWO, DATA[name]))
        for shown in running.watch():
            for each in shown["waiting_for"]:
                organization = each.removeprefix("approval by ")
                for waiting in by_hand[organization].pages("/approval/"):
                    by_hand[organization].post(f"/function/{waiting['function']['key']}/approve/")
        same(running.wait(), co.simulate(EXPERIMENTS[name], data[DATA[name]][: len(TWO)]))
