"""Whatever sites do, in any order, and however often the conductor dies: rounds close in order and the plan ends."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from comity.domain.conducting import decide
from comity.domain.events import (
    DatasetWithdrawn,
    OrganizationRemoved,
    PlanRegistered,
    RoundClosed,
    Stop,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskStarted,
)
from comity.domain.membership import Act
from comity.domain.plans import status_of
from comity.domain.records import Draft, Function, Plan, Task
from comity.domain.rules import apply
from comity.domain.states import OVER
from comity.values.errors import InvalidInput, Refused

DEADLINE = 60_000
SITES = "abc"
EXECUTOR = "STATUS_WAITING_FOR_EXECUTOR_SLOT"


def growth(random):
    """Some experiment."""
    rounds = random.choice([1, 2, 3])
    metrics = random.choice([(), ("auc",)])
    selected = tuple(tuple(random.sample(SITES, random.choice([1, 2, 3]))) for _ in range(rounds))
    return {
        "rounds": rounds,
        "metrics": metrics,
        "evaluate_every": random.choice([1, 2]),
        "quorum": random.choice(["1.0", "0.5", "0.9"]),
        "retries": random.choice([0, 0, 1, 2]),
        "sees_each": random.random() < 0.3,
        "finishes": random.random() < 0.3,
        "stop": Stop(metric="auc", goal="max", patience=1) if metrics and random.random() < 0.3 else None,
        "selected": selected if random.random() < 0.3 else (),
    }


class Walk:
    """An experiment over three sites that do as they like, and a conductor that may be slow, cut off, or repeat."""

    def __init__(self, unbegun, seed):
        self.random = Random(seed)
        self.grown = unbegun("a", "b", "c", "h", aggregator="h", **growth(self.random))
        self.records, self.now = self.grown.log.records, self.grown.log.now
        self.late = []
        """Events of an earlier decision that were never said."""
        self.silent = set()
        self.done = Counter()
        self.closed = []
        self.write(
            "a", PlanRegistered(key=self.grown.log.key("plan"), name=self.grown.log.NAME, growth=self.grown.growth)
        )

    @property
    def plan(self):
        return self.grown.plan

    @property
    def over(self):
        return status_of(self.plan) in OVER

    def write(self, author, *events):
        """Whether they were accepted, all or none."""
        self.now += 1000
        draft = Draft(self.records)
        try:
            for event in events:
                apply(draft, Act(author, self.now), event)
        except (Refused, InvalidInput):
            return False
        for record in draft.changed.values():
            self.records.put(record)
        self.closed += [each for each in events if isinstance(each, RoundClosed)]
        self.check()
        return True

    def tasks(self, *statuses):
        found = [each for each in self.records.find(Task, "plan", self.plan.key) if each.status in statuses]
        return sorted(found, key=lambda each: each.key)

    def conduct(self, most=1000):
        """The conductor decides once, and what it says is accepted; or it dies before it has said all."""
        events = decide(self.records, self.plan, self.now).events
        said = events[: self.random.randrange(1, len(events) + 1)] if events and self.random.random() < 0.3 else events
        self.late += events
        if said:
            assert self.write("a", *said), "a decision is not refused while nothing has happened since"
        return bool(said)

    def repeat(self):
        """What was decided before comes again, one by one: it is known, or fits what has become."""
        for event in self.random.sample(self.late, min(3, len(self.late))):
            self.write("a", event)

    def work(self):
        """A site or the aggregator does something about a task."""
        if self.random.random() < 0.05:
            self.silent ^= {self.random.choice(SITES)}
        ready = [each for each in self.tasks(EXECUTOR, "STATUS_EXECUTING") if each.worker not in self.silent]
        if not ready:
            return
        task = self.random.choice(ready)
        what = self.random.choice(["start", "start", "done", "done", "done", "fail", "cancel"])
        if task.required and what in ("fail", "cancel") and self.random.random() < 0.95:
            what = "done"
        self.act(task, what)

    def act(self, task, what):
        if what == "cancel":
            self.write(task.worker, TaskCancelled(key=task.key))
        elif what == "fail":
            self.write(task.worker, TaskFailed(key=task.key, error="EXECUTION_ERROR"))
        elif what == "start" or task.status == EXECUTOR:
            self.write(task.worker, TaskStarted(key=task.key, attempt=1 + task.attempt))
        else:
            function, value = (
                self.records.get(Function, task.function),
                self.random.choice(["0.5", "0.0", "1.0", "nan"]),
            )
            self.write(task.worker, TaskDone(key=task.key, outputs=self.grown.left(function, task, value)))
        self.done[what, task.stage] += 1

    def pass_time(self):
        self.now += self.random.choice([1000, DEADLINE, 3 * DEADLINE])

    def go(self):
        """A site leaves, or withdraws its data; seldom."""
        site = self.random.choice("bc")
        if self.random.random() < 0.5:
            self.write("a", OrganizationRemoved(organization=site))
        else:
            self.write(site, DatasetWithdrawn(key=self.grown.log.key(("data", site))))

    def step(self):
        steps = [self.work] * 12 + [self.conduct] * 6 + [self.pass_time] * 2 + [self.repeat]
        self.random.choice(steps)()
        if self.random.random() < 0.01:
            self.go()

    def answer(self):
        """From now on everybody does all that it is asked."""
        for _ in range(400):
            if self.over:
                return
            if self.conduct():
                continue
            ready = self.tasks(EXECUTOR, "STATUS_EXECUTING")
            assert ready, f"nobody has anything to do, and it is not over: {self.open()}"
            for task in ready:
                self.act(task, "done")
        raise AssertionError(f"it does not end: {self.open()}")

    def open(self):
        return [(each.stage, each.round, each.worker, each.status) for each in self.tasks(*STATUSES)]

    def check(self):
        if (plan := self.records.get(Plan, self.grown.log.key("plan"))) is None:
            return
        gathers = [self.records.get(Task, each.task) for each in self.closed]
        trained = [each.round for each in gathers if each.stage in ("sum", "step")]
        assert trained == list(range(1, len(trained) + 1)), "rounds close in order"
        assert len({each.key for each in gathers}) == len(gathers), "and once"
        assert plan.rounds_closed == len(trained)
        assert plan.rounds_closed <= plan.rounds_added <= plan.rounds_closed + 1
        for each in gathers:
            parts = [self.records.get(Task, given.parent) for given in each.inputs if given.identifier == "parts"]
            assert len({part.worker for part in parts}) == len(parts), "one part of each site"
            assert all((part.round, part.status) == (each.round, "STATUS_DONE") for part in parts)
            assert not each.gathers
        if status_of(plan) in OVER:
            assert not list(self.records.find(Task, "optional_in", plan.key))
            assert plan.grows_at == ""
            if status_of(plan) == "PLAN_STATUS_DONE":
                assert plan.complete
                assert not plan.measuring
        for each in self.records.find(Task, "plan", plan.key):
            memory = next((given.parent for given in each.inputs if given.identifier == "memory"), None)
            if memory is not None:
                assert self.records.get(Task, memory).worker == each.worker
                assert self.records.get(Task, memory).round < each.round + (each.stage == "evaluate")


STATUSES = (
    "STATUS_WAITING_FOR_BUILDER_SLOT",
    "STATUS_BUILDING",
    "STATUS_WAITING_FOR_PARENT_TASKS",
    EXECUTOR,
    "STATUS_EXECUTING",
)


def walked(unbegun, seed):
    walk = Walk(unbegun, seed)
    for _ in range(walk.random.choice([0, 10, 40, 80, 160])):
        if not walk.over:
            walk.step()
    walk.answer()
    return walk


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_it_ends_and_its_records_agree_whatever_sites_do(unbegun_for_all, seed):
    walked(unbegun_for_all, seed)


def test_the_walks_go_everywhere(unbegun_for_all):
    walks = [walked(unbegun_for_all, seed) for seed in range(60)]
    assert {status_of(walk.plan) for walk in walks} == OVER
    causes = {each.cause for walk in walks for each in walk.closed}
    assert causes == {"all", "deadline", "failed"}
    assert {walk.plan.rounds_closed for walk in walks} >= {0, 1, 2, 3}
    stages = {stage for walk in walks for _, stage in walk.done}
    assert stages == {"init", "local", "sum", "step", "evaluate", "scores", "finish"}
