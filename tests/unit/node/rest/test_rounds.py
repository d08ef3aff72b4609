"""The rounds of an experiment as REST shows them: who took part, what was measured, what it waits for, and when."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime
from itertools import pairwise

import pytest

from comity.adapters.sql.log import Log
from comity.domain.conducting import decide
from comity.domain.events import OutputMade, TaskDone, TaskFailed, TaskStarted
from comity.domain.growing import task_key
from comity.domain.records import Function, Plan, Task, need

DEADLINE = 10_000_000

MODEL = {"kind": "ASSET_MODEL"}
TREE, NUMBER = {**MODEL, "form": "tree"}, {"kind": "ASSET_PERFORMANCE"}
DATA = {"opener": {"kind": "ASSET_DATA_MANAGER"}, "datasamples": {"kind": "ASSET_DATA_SAMPLE", "multiple": True}}
SITE = {**DATA, "state": MODEL, "memory": {**MODEL, "optional": True}}
STAGES = {
    "init": ({"start": {**MODEL, "optional": True}}, {"state": TREE}),
    "local": (SITE, {"contribution": TREE, "memory": TREE}),
    "step": ({"state": MODEL, "total": MODEL}, {"state": TREE}),
    "evaluate": (SITE, {"scores": TREE, "auc": NUMBER}),
    "finish": ({"total": MODEL}, {"auc": NUMBER}),
}


def ground(network, *, built=True):
    """(functions, sites): what experiments of a's over a and b need."""
    functions, sites = {}, {}
    for stage, (inputs, outputs) in STAGES.items():
        functions[stage] = network.function(inputs=inputs, outputs=outputs)["key"]
        if built:
            network.build(functions[stage])
    for owner in "ab":
        dataset = network.dataset(owner)["key"]
        sites[owner] = {"dataset": dataset, "samples": [network.sample(dataset, owner)]}
    return functions, sites


class Experiment:
    """An experiment in which nothing happens by itself."""

    def __init__(self, network, functions, sites, *, most=1000, **growth):
        self.network, self.plan = network, str(uuid.uuid4())
        self.rounds = f"/compute_plan/{self.plan}/rounds/"
        self.datasets = {site: data["dataset"] for site, data in sites.items()}
        how = {"aggregator": "a", "functions": functions, "sites": sites, "rounds": 2, "deadline": DEADLINE}
        value = {"experiment": '{"a": 1}', "metrics": ["auc"], **how, **growth}
        reply = network.client().post("/compute_plan/", {"key": self.plan, "name": "study", "growth": value})
        assert reply.status == 201, reply.body
        self.conduct(most)

    def key(self, stage, number, site="", attempt=1):
        return task_key(self.plan, number, stage, site, attempt)

    def part(self, number, site, status, **more):
        made = {
            "task": self.key("local", number, site),
            "site": site,
            "status": f"STATUS_{status}",
            "attempts": 1,
            "included": False,
            "size": 1 if status == "DONE" else None,
            "waiting_for": None,
            "refused": None,
        }
        return {**made, **more}

    def cancel(self):
        assert self.network.client().post(f"/compute_plan/{self.plan}/cancel/").status == 200

    def shown(self, owner="a", **query):
        reply = self.network.client(owner).get(self.rounds, **query)
        assert reply.status == 200, reply.body
        return reply.json

    def conduct(self, most=1000):
        """What the conductor of a's node says; the first so many events of it alone."""
        place = self.network.places["a"]
        while True:
            with place.node.database.read() as connection:
                records = Log(connection, place.numbers["main"]).records
                events = decide(records, need(records, Plan, self.plan), self.network.clock.now).events
            if not events:
                return
            self.network.write("a", *events[:most])
            if most < 1000:
                return

    def ended(self, stage, number, site="", value="0.5", attempt=1):
        """A task is done by its worker."""
        place = self.network.places["a"]
        task = place.read(Task, self.key(stage, number, site, attempt))
        function = place.read(Function, task.function)
        outputs = {}
        for name in task.outputs:
            if function.outputs[name].kind == "ASSET_PERFORMANCE":
                outputs[name] = OutputMade(performance=value)
            else:
                blob = place.node.blobs.put([b"x"])
                outputs[name] = OutputMade(key=self.model(task.key, name), blob=blob, size=1)
        self.network.write(task.worker, TaskStarted(key=task.key, attempt=1), TaskDone(key=task.key, outputs=outputs))

    def failed(self, stage, number, site):
        task = self.network.places["a"].read(Task, self.key(stage, number, site))
        self.network.write(task.worker, TaskFailed(key=task.key, error="EXECUTION_ERROR"))
        return task.key

    @staticmethod
    def model(task, name):
        return str(uuid.uuid5(uuid.UUID(task), name))

    def trained(self, number):
        """A round in which both take part."""
        for site in "ab":
            self.ended("local", number, site)
        self.conduct()
        self.ended("sum", number)
        self.ended("step", number)
        self.conduct()

    def measured(self, number, **values):
        """What each site, and all of them together, have measured of a state."""
        for site in "ab":
            self.ended("evaluate", number, site, values[site])
        self.conduct()
        self.ended("scores", number)
        self.ended("finish", number, value=values["pooled"])


@pytest.fixture(scope="module")
def shared(steady):
    return ground(steady)


@pytest.fixture
def experiment(steady, shared):
    return lambda **given: Experiment(steady, *shared, **given)


def undated(shown):
    """Without its version, and with dates as whether there are any."""
    for each in shown["rounds"]:
        for name in ("start_date", "end_date"):
            if each[name] is not None:
                assert datetime.fromisoformat(each[name]).tzinfo is not None
            each[name] = each[name] is not None
    assert type(shown.pop("version")) is int
    return shown


def test_an_experiment_that_begins(experiment):
    made = experiment()
    first = {
        "number": 1,
        "closed": False,
        "parts": [made.part(1, site, "WAITING_FOR_PARENT_TASKS") for site in "ab"],
        "state": None,
        "start_date": False,
        "end_date": False,
        "sum": None,
        "scores": None,
        "pooled": None,
        "sites": {},
    }
    wanted = {
        "key": made.plan,
        "name": "study",
        "status": "PLAN_STATUS_DOING",
        "experiment": '{"a": 1}',
        "organizations": ["a", "b"],
        "aggregator": "a",
        "planned": 2,
        "datasets": made.datasets,
        "continues": None,
        "waiting_for": [],
        "failed": [],
        "rounds": [first],
    }
    assert undated(made.shown("a")) == undated(made.shown("b")) == wanted


def test_a_round_of_which_some_is_still_on_its_way(experiment):
    """As that of very many sites, which takes several entries."""
    made = experiment(most=2)
    (first,) = undated(made.shown())["rounds"]
    assert first["parts"] == [made.part(1, "a", "WAITING_FOR_PARENT_TASKS")]


def test_a_round_that_was_closed_and_measured(experiment):
    made = experiment()
    made.ended("init", 0)
    made.trained(1)
    made.measured(1, a="0.25", b="nan", pooled="0.75")
    first, second = undated(made.shown("b"))["rounds"]
    assert first == {
        "number": 1,
        "closed": True,
        "parts": [made.part(1, site, "DONE", included=True) for site in "ab"],
        "state": made.model(made.key("step", 1), "state"),
        "start_date": True,
        "end_date": True,
        "sum": None,
        "scores": None,
        "pooled": {"auc": 0.75},
        "sites": {"a": {"auc": 0.25}, "b": {"auc": None}},
    }
    assert (second["closed"], second["start_date"], second["end_date"]) == (False, True, False)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_figure_that_is_none_is_null(experiment, value):
    made = experiment()
    made.ended("init", 0)
    made.trained(1)
    made.measured(1, a=value, b=value, pooled=value)
    first = made.shown()["rounds"][0]
    assert (first["pooled"], first["sites"]) == ({"auc": None}, {"a": {"auc": None}, "b": {"auc": None}})


def test_who_failed_and_was_tried_again(experiment):
    made = experiment(retries=1)
    made.ended("init", 0)
    key = made.failed("local", 1, "b")
    made.conduct()
    shown = made.shown()
    again = made.part(1, "b", "WAITING_FOR_EXECUTOR_SLOT", attempts=2, task=made.key("local", 1, "b", 2))
    assert shown["rounds"][0]["parts"][1] == again
    assert shown["failed"] == [key]
    made.ended("local", 1, "a")
    made.ended("local", 1, "b", attempt=2)
    made.conduct()
    assert made.shown()["rounds"][0]["parts"][1] == {**again, "status": "STATUS_DONE", "size": 1, "included": True}


def test_who_was_late_is_not_included(experiment):
    made = experiment()
    made.ended("init", 0)
    made.ended("local", 1, "a")
    made.network.clock.now += DEADLINE
    made.conduct()
    shown = made.shown()["rounds"][0]
    assert shown["closed"]
    assert [(each["site"], each["included"]) for each in shown["parts"]] == [("a", True), ("b", False)]


def test_it_waits_for_a_steward(network):
    made = Experiment(network, *ground(network, built=False))
    shown = made.shown()
    assert shown["waiting_for"] == ["approval by b"]
    assert [each["waiting_for"] for each in shown["rounds"][0]["parts"]] == [None, "approval by b"]
    made.cancel()
    assert (made.shown()["status"], made.shown()["waiting_for"]) == ("PLAN_STATUS_CANCELED", [])


@pytest.mark.parametrize("stage", ["local", "evaluate"])
def test_it_waits_for_who_is_late_while_there_are_too_few(experiment, stage):
    made = experiment(quorum="2.0")
    made.ended("init", 0)
    if stage == "local":
        made.ended("local", 1, "a")
        wanted = ["b, without which round 1 has no quorum"]
    else:
        made.trained(1)
        wanted = [f"{site}, without which round 1 is not measured" for site in "ab"]
    assert made.shown()["waiting_for"] == []
    made.network.clock.now += DEADLINE
    shown = made.shown("b")["waiting_for"]
    assert [each for each in shown if "round 1" in each] == wanted


def test_a_version_grows_with_whatever_happens(experiment):
    made = experiment()
    versions = [made.shown()["version"]]

    def look():
        versions.append(made.shown()["version"])

    made.ended("init", 0), look()
    made.ended("local", 1, "a"), look()
    made.ended("local", 1, "b"), look()
    made.conduct(), look()
    made.ended("sum", 1), look()
    made.ended("step", 1), look()
    made.ended("evaluate", 1, "a"), look()
    made.cancel(), look()
    assert all(one < other for one, other in pairwise(versions)), versions


def test_another_plan_has_no_rounds(steady):
    plan = steady.plan()["key"]
    for owner in "ab":
        reply = steady.client(owner).get(f"/compute_plan/{plan}/rounds/")
        said = f"OE0003: the plan {plan} is no experiment: it has no rounds"
        assert (reply.status, reply.json["detail"]) == (400, said)
    assert steady.client().get(f"/compute_plan/{uuid.uuid4()}/rounds/").status == 404


def test_an_experiment_that_cannot_be_conducted_is_refused(steady, shared):
    functions, sites = shared
    growth = {"experiment": "{}", "sites": sites, "aggregator": "a", "functions": functions, "rounds": 2}
    for change in ({"functions": {}}, {"quorum": "nan"}, {"selected": [["a"]]}):
        body = {"key": str(uuid.uuid4()), "name": "study", "growth": {**growth, **change}}
        assert steady.client().post("/compute_plan/", body).status == 400
        assert steady.client().get(f"/compute_plan/{body['key']}/").status == 404


# Waiting for news


def test_a_question_without_patience_is_answered_at_once(experiment):
    made = experiment()
    version = made.shown()["version"]
    for query in ({"after": version}, {"after": version - 1, "wait": 30_000}, {"wait": 30_000}, {"after": -1}):
        assert made.shown(**query)["version"] == version


def test_without_news_it_is_shown_when_patience_ends(experiment):
    made = experiment()
    version = made.shown()["version"]
    for wait in (1, -5):
        assert made.shown(after=version, wait=wait)["version"] == version


def test_news_are_shown_when_they_come(experiment):
    made = experiment()
    version, network = made.shown()["version"], made.network
    following = network.places["b"].part().following
    client = network.client("b")
    task, before = network.places["a"].read(Task, made.key("init", 0)), len(following._watchers)

    async def ask():
        asking = asyncio.create_task(client._call("GET", f"{made.rounds}?after={version}&wait=30000", b"", ""))
        while len(following._watchers) == before:
            await asyncio.sleep(0)
        await network.places["a"].part().following.write([TaskStarted(key=task.key, attempt=1)], {})
        assert not asking.done()
        following._watchers.wake()
        return await asking

    assert network.loop.run_until_complete(ask()).json["version"] == version + 1
    assert len(following._watchers) == before, "who was answered watches no more"


def test_what_is_over_is_not_waited_for(experiment):
    made = experiment()
    made.cancel()
    version = made.shown()["version"]
    assert made.shown(after=version, wait=30_000)["version"] == version


@pytest.mark.parametrize("name", ["after", "wait"])
@pytest.mark.parametrize("value", ["", "x", "1.5", "--5", "-", "5-", "1" * 13, "٣", "1e3", " 1"])
def test_a_version_is_a_whole_number(steady, name, value):
    plan = steady.plan()["key"]
    reply = steady.client().get(f"/compute_plan/{plan}/rounds/", **{name: value})
    assert (reply.status, f"{name} is a whole number, not" in reply.json["detail"]) == (400, True), reply.body
