"""Which data samples of an organization a plan's tasks name."""

from contextlib import closing
from uuid import NAMESPACE_OID, uuid5

import pytest
from sqlalchemy import insert

from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import channels
from comity.domain.events import TaskInput
from comity.domain.records import Plan, Task
from comity.node import plan_samples, schema
from comity.node.plan_samples import PlanSamples


def key(name):
    return str(uuid5(NAMESPACE_OID, name))


class Known:
    """What node "a" knows of plans in channel 1, with samples "s0", "s1", ... at /s0, /s1, ..."""

    def __init__(self, database):
        self.database, self.samples, self.counts = database, PlanSamples("a"), {}
        self.write(insert(channels).values(id=1, digest="1"))
        for name in ("s0", "s1", "s2", "s3"):
            self.write(insert(schema.samples).values(channel=1, key=key(name), path=f"/{name}", manifest=b""))

    def write(self, statement):
        self.database.write(lambda connection: connection.execute(statement))

    def add(self, plan, *tasks, worker="a"):
        """Add tasks that take these assets."""
        for assets in tasks:
            self.counts[plan] = number = self.counts.get(plan, 0) + 1
            inputs = tuple(TaskInput(identifier="x", asset=key(each)) for each in assets)
            fields = {"function": "f", "owner": "a", "status": "STATUS_DONE", "inputs": inputs}
            task = Task(key=f"{plan}{number}", plan=plan, worker=worker, created_at=number, **fields)
            self.database.write(lambda connection, task=task: Log(connection, 1).records.put(task))

    def of(self, plan):
        counts = {"STATUS_DONE": self.counts.get(plan, 0)}
        record = Plan(key=plan, owner="a", name="", created_at=1, counts=counts)
        found = self.database.write(lambda connection: self.samples.of(Log(connection, 1), record))
        return [str(each) for each in found]


@pytest.fixture
def known(tmp_path):
    with closing(Database(sqlite_url(tmp_path / "node.db"), schema.BRANCHES)) as database:
        yield Known(database)


def test_those_of_all_its_tasks_here_are_found_once_also_when_it_grows(known):
    known.add("p", ["dataset", "s1"], ["s1", "s0"], [])
    known.add("p", ["s3"], worker="b")
    known.add("q", ["s2"])
    assert sorted(known.of("p")) == ["/s0", "/s1"]
    known.add("p", ["s2"])
    assert sorted(known.of("p")) == ["/s0", "/s1", "/s2"]
    assert known.of("empty") == []


def test_no_task_is_read_again_while_the_plan_does_not_grow(known, monkeypatch):
    known.add("p", ["s0"])
    assert known.of("p") == ["/s0"]
    monkeypatch.setattr(Log, "records", None, raising=False)
    assert known.of("p") == ["/s0"]


def test_more_than_a_sandbox_is_given_are_left_to_their_tasks(known, monkeypatch):
    known.add("p", ["s0", "s1"])
    monkeypatch.setattr(plan_samples, "MOST", 1)
    assert known.of("p") == []


def test_plans_that_were_asked_for_long_ago_are_forgotten_and_found_again(known, monkeypatch):
    monkeypatch.setattr(plan_samples, "PLANS", 1)
    for plan in ("p", "q"):
        known.add(plan, ["s0"])
        assert known.of(plan) == ["/s0"]
    assert list(known.samples._found) == ["q"]
    assert known.of("p") == ["/s0"]
