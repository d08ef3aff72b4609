"""Many experiments on the same nodes: all finish, whoever began first; what is cancelled leaves no process behind."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import bench
import pytest
from bench.chaos.network import below, started
from bench.plans import IDLE, add, new_plan, new_task

import comity as co
from comity.sdk.client import Client, embedded
from comity.sdk.network import Network
from comity.values.errors import RoundFailed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")

NAMES = ["org1", "org2", "org3", "org4"]
ON = dict.fromkeys(NAMES, "heart")
SECONDS = 60.0

HEART = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=10),
    strategy=co.FedAvg(),
    rounds=2,
)


def sites():
    return [replace(site, name=name) for name, site in zip(NAMES, co.data.heart(), strict=True)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "network"
    with started(folder, 4) as running:
        for site in sites():
            client = Client(lambda name=site.name: embedded(folder, name))
            Network(client).register("heart", site, authorize=["org1"])
            client.close()
        yield running, Network(Client(lambda: embedded(folder, "org1")))


def tasks_of(network):
    return [pid for name, node in network.daemons().items() if name != "hub" for pid in below(node, "task")]


def until(found):
    end = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("many", [4, pytest.param(10, marks=pytest.mark.long)])
def test_many_at_once_all_come_to_what_they_come_to_alone(shared, many):
    _, user = shared
    every = [replace(HEART, seed=seed) for seed in range(many)]
    running = [user.begin(each, ON) for each in every]
    assert [each.wait().digest for each in running] == [co.simulate(each, sites()).digest for each in every]


def test_a_cancelled_one_leaves_no_process_behind_and_lets_others_run(shared, monkeypatch):
    network, user = shared
    monkeypatch.syspath_prepend(Path(bench.__path__[0]))  # a bundle is made of modules that have a source
    from endless import Endless

    endless = user.begin(co.Experiment(strategy=Endless(), rounds=1), ON)
    until(lambda: len(tasks_of(network)) == 4)
    other = user.begin(HEART, ON)
    endless.cancel()
    until(lambda: not tasks_of(network) or other.now()["rounds"])
    with pytest.raises(RoundFailed, match="cancelled"):
        endless.wait()
    assert other.wait().digest == co.simulate(HEART, sites()).digest
    until(lambda: not tasks_of(network))


def test_a_plan_whose_tasks_never_end_holds_up_no_other(shared):
    network, _ = shared
    node = network.nodes["org1"]
    endless = node.function(b"def work(inputs, outputs, task_properties):\n    while True:\n        pass\n", {}, {})
    stuck = new_plan(node)
    add(node, stuck, [new_task(endless) for _ in range(100)])
    until(lambda: below(network.daemons()["org1"], "task"))
    idle = node.function(IDLE, {}, {})
    quick = new_plan(node)
    add(node, quick, [new_task(idle) for _ in range(20)])
    until(lambda: node.get(f"/compute_plan/{quick}/")["done_count"] == 20)
    assert node.get(f"/compute_plan/{stuck}/")["done_count"] == 0
    node.post(f"/compute_plan/{stuck}/cancel/", {})
    until(lambda: not tasks_of(network))
