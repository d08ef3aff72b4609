"""What a hospital's policy and its privacy budgets let run, on a network, whatever whoever asks would like."""

import json
import sys
from dataclasses import replace
from threading import Thread

import pytest
from bench.chaos.network import started
from typer.testing import CliRunner

import comity as co
from comity.faces.cli.main import app
from comity.sdk.client import Client, embedded
from comity.sdk.network import Network
from comity.values.errors import RoundFailed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")

ON = {"org1": "heart", "org2": "heart"}

PRIVATE = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.05), batch_size=16, steps=5),
    strategy=co.FedAvg(),
    rounds=2,
    quorum=2,
    seed=1,
    privacy=[co.privacy.RecordDP(epsilon=2.0, delta=1e-4)],
)

OPEN = """
[[rule]]
id = "partners"
organizations = ["org1"]
datasets = ["heart"]

[[budget]]
dataset = "heart"
epsilon = 3.0
delta = 1e-3
"""

STRICT = """
[[rule]]
id = "masked-only"
organizations = ["org*"]
secure_sum = true
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """org1 asks; org2 has a policy. Both have rows."""
    folder = tmp_path_factory.mktemp("policy") / "network"
    with started(folder, 2) as running:
        for name, site in zip(ON, co.data.heart(), strict=False):
            client = Client(lambda name=name: embedded(folder, name))
            Network(client).register("heart", replace(site, name=name), authorize=["org1"], logs=["org1"])
            client.close()
        yield running


@pytest.fixture(scope="module")
def user(network):
    client = Client(lambda: embedded(network.folder, "org1"))
    yield Network(client)
    client.close()


def decides(network, text):
    """org2 saves a policy, as one would: whole."""
    path = network.folder / "org2" / "policy.toml"
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def ledger(network):
    (dataset,) = network.nodes["org2"].get("/budget/")
    return dataset


def asked(experiment, epsilon):
    return replace(experiment, privacy=[co.privacy.RecordDP(epsilon=epsilon, delta=1e-4)])


def test_a_budget_is_spent_once_whatever_dies_and_no_two_runs_race_past_it(network, user):
    decides(network, OPEN)
    killed = []

    def observe(shown):
        if not killed and shown["rounds"] and not shown["rounds"][0]["closed"]:
            killed.append(network.kill(network.daemons()["org2"]))

    running = user.begin(PRIVATE, ON)
    running.wait(observe)
    assert killed == [True]
    spent = ledger(network)
    assert [(line["does"], line["epsilon"]) for line in spent["lines"]] == [("reserve", 2.0), ("charge", 2.0)]
    assert (spent["charged"]["epsilon"], spent["reserved"]["epsilon"]) == (2.0, 0.0)
    tasks = network.nodes["org1"].get("/task/", compute_plan_key=running.key)["results"]
    (policy,) = [each for each in network.nodes["org1"].get("/policy/") if each["organization"] == "org2"]
    ruled = [each["ruled"] for each in tasks if each["worker"] == "org2" and each["stage"] == "local"]
    assert {each["rule"] for each in ruled} == {"partners"}
    assert {each["policy"] for each in ruled} == {policy["digest"]}
    assert spent["root"] in {each["ledger"] for each in ruled}
    assert [rule["id"] for rule in policy["content"]["rule"]] == ["partners"]
    with pytest.raises(RoundFailed, match=r"org2: EXECUTION_ERROR: org2: this would overspend .* ε by 1\."):
        user.run(PRIVATE, ON)

    ended = []

    def run(seed):
        client = Client(lambda: embedded(network.folder, "org1"))
        try:
            ended.append(Network(client).run(replace(asked(PRIVATE, 1.0), seed=seed), ON).digest)
        except RoundFailed as error:
            ended.append(str(error))
        finally:
            client.close()

    racing = [Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for each in racing:
        each.start()
    for each in racing:
        each.join()
    assert sorted("would overspend" in each for each in ended) == [False, True]
    assert ledger(network)["charged"]["epsilon"] == 3.0
    without = replace(PRIVATE, privacy=[], rounds=1)
    with pytest.raises(
        RoundFailed, match=r"budget of ε = 3 for each record, and what has no co\.privacy\.RecordDP, nor"
    ):
        user.run(without, ON)


def test_who_tightens_a_policy_in_mid_run_is_obeyed_at_the_next_check(network, user):
    decides(network, OPEN.partition("[[budget]]")[0])
    tightened = []

    def observe(shown):
        if not tightened and len(shown["rounds"]) > 1:
            tightened.append(decides(network, STRICT))

    plain = replace(PRIVATE, privacy=[], rounds=50)
    running = user.begin(plain, ON)
    with pytest.raises(RoundFailed, match=r"the policy of org2 refuses it: rule masked-only: .* summed securely"):
        running.wait(observe)
    assert tightened
    tasks = network.nodes["org1"].get("/task/", compute_plan_key=running.key, page_size=100)["results"]
    (refused,) = {each["refused"] for each in tasks if each["refused"]}
    assert refused.startswith("the policy of org2 refuses it")


def test_what_a_policy_would_say_is_said_before_anything_is_sent(network, user, tmp_path):
    decides(network, STRICT)
    while network.nodes["org1"].get("/policy/")[-1]["content"] != {
        "rule": [{"id": "masked-only", "organizations": ["org*"], "secure_sum": True}]
    }:
        pass  # the node looks at its file every two seconds
    file = tmp_path / "experiment.py"
    file.write_text(
        "import comity as co\n"
        "experiment = co.Experiment(model=co.numpy.Linear(features=13, loss='logistic'),\n"
        "    train=co.Train(optimizer=co.SGD(lr=0.05), batch_size=16, steps=5), strategy=co.FedAvg())\n"
    )
    before = len(network.nodes["org1"].get("/compute_plan/")["results"])
    options = ["--as", "org1", "--dir", str(network.folder), "--json"]
    said = CliRunner().invoke(app, ["policy", "explain", str(file), "--on", "org1:heart,org2:heart", *options])
    own, theirs = json.loads(said.stdout)
    assert (own["organization"], own["allowed"], own["rule"]) == ("org1", True, "permissions")
    assert (theirs["organization"], theirs["allowed"]) == ("org2", False)
    assert "summed securely" in theirs["reasons"][0]
    assert len(network.nodes["org1"].get("/compute_plan/")["results"]) == before


def test_a_policy_that_cannot_be_read_lets_nothing_run(network, user):
    decides(network, "[[rule]]\nid = 'r'\nsecure = true\n")
    with pytest.raises(RoundFailed, match=r"policy\.toml cannot be read, so nothing may run here: .*secure"):
        user.run(replace(PRIVATE, privacy=[], rounds=1), ON)
