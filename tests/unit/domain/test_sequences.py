"""Whatever is written, in any order: what is refused changes nothing, and the records agree with each other."""

import uuid
from collections import Counter
from hashlib import sha256
from random import Random
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from comity.domain.events import (
    ChannelCreated,
    FunctionApproved,
    FunctionBuilding,
    FunctionCancelled,
    FunctionFailed,
    FunctionInput,
    FunctionOutput,
    FunctionReady,
    FunctionRefused,
    FunctionRegistered,
    OrganizationAdmitted,
    OrganizationRemoved,
    OutputMade,
    OutputsReleased,
    PlanCancelled,
    PlanRegistered,
    TaskAdded,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskInput,
    TaskOutput,
    TaskStarted,
)
from comity.domain.membership import Act
from comity.domain.records import KINDS, Draft, Function, Model, Organization, Plan, RecordsInMemory, Task
from comity.domain.releasing import releasable
from comity.domain.rules import apply
from comity.domain.states import ENDED, OVER, TaskStatus, plan_status
from comity.domain.sums import SUM
from comity.domain.tasks import stands
from comity.domain.words import Permission
from comity.values.errors import InvalidInput, Refused
from comity.values.keys import Identity, to_base64

NAME = "sha256:" + "0" * 64
ARCHIVES = ["sha256:" + digit * 64 for digit in "12"]
EXECUTOR = "STATUS_WAITING_FOR_EXECUTOR_SLOT"
DEAD = ("STATUS_FAILED", "STATUS_CANCELED")
ALIVE = ("FUNCTION_STATUS_WAITING", "FUNCTION_STATUS_BUILDING", "FUNCTION_STATUS_READY")


def key(word):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(word)))


def function(word, archive):
    return FunctionRegistered(
        key=key(("function", word)),
        name=NAME,
        archive=archive,
        description=NAME,
        inputs={"models": FunctionInput("ASSET_MODEL", multiple=True, optional=True)},
        outputs={"model": FunctionOutput("ASSET_MODEL")},
        permission=Permission(public=True),
    )


def keys(word):
    return Identity.from_bytes(sha256(str(word).encode()).digest() * 2).public


class Walk:
    """Events at random, most of them such as are possible now."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.records = RecordsInMemory()
        self.now = 1
        self.accepted = Counter()
        self.refused = Counter()
        begin = [ChannelCreated(keys=keys("a"), hub=to_base64(bytes(32)), name=NAME, nonce="")]
        begin += [OrganizationAdmitted(organization=name, keys=keys(name)) for name in "bc"]
        begin += [PlanRegistered(key=key(("plan", 0)), name=NAME), function(0, ARCHIVES[0])]
        self.write("a", *begin)

    def write(self, author, *events):
        """Whether they were accepted; checks that nothing changes if not, and that all agrees if so."""
        self.now += 1
        before = {kind: dict(held) for kind, held in self.records.held.items()}
        draft = Draft(self.records)
        try:
            for event in events:
                apply(draft, Act(author, self.now), event)
        except (Refused, InvalidInput):
            self.refused.update(type(event).__name__ for event in events)
            assert self.records.held == before
            return
        assert self.records.held == before
        for record in draft.changed.values():
            self.records.put(record)
        self.accepted.update(type(event).__name__ for event in events)
        check(self.records)

    def any(self, kind, *statuses):
        """A record, of these statuses unless there are none or chance has it otherwise."""
        held = [each for each in self.records.held[kind].values() if each.key != SUM]
        fit = [each for each in held if each.status in statuses] if statuses else held
        return self.random.choice(fit if fit and self.random.random() < 0.9 else held)

    def step(self):
        random = self.random
        author, event = random.choice(STEPS)(self)
        self.write(author if random.random() < 0.95 else random.choice("abc"), event)

    def add(self):
        open_plans = [each for each in self.records.held[Plan].values() if not each.cancelled_at]
        plan = self.random.choice(open_plans) if open_plans else self.any(Plan)
        word = ("task", random_or_new(self, Task))
        tasks, models = list(self.records.held[Task].values()), list(self.records.held[Model].values())
        tasks = [each for each in tasks if each.status not in DEAD or self.random.random() < 0.05]
        parents = self.random.sample(tasks, min(len(tasks), self.random.choice([0, 0, 1, 1, 2, 3])))
        taken = [TaskInput("models", parent=each.key, output="model") for each in parents]
        if models and self.random.random() < 0.2:
            taken.append(TaskInput("models", asset=self.random.choice(models).key))
        output = TaskOutput(Permission(public=True), transient=self.random.random() < 0.5)
        return plan.owner, TaskAdded(
            key=key(word),
            plan=plan.key,
            function=self.any(Function, *ALIVE).key,
            worker=self.random.choice("abc"),
            inputs=tuple(taken),
            outputs={"model": output},
            required=self.random.random() < 0.7,
        )

    def start(self):
        task = self.any(Task, EXECUTOR, EXECUTOR, "STATUS_EXECUTING")
        return task.worker, TaskStarted(key=task.key, attempt=task.attempt + 1)

    def done(self):
        task = self.any(Task, "STATUS_EXECUTING")
        made = {"model": OutputMade(key=key(("model", task.key)), blob=NAME)}
        return task.worker, TaskDone(key=task.key, outputs=made)

    def fail(self):
        task = self.any(Task, EXECUTOR, "STATUS_EXECUTING")
        return task.worker, TaskFailed(key=task.key, error="EXECUTION_ERROR")

    def cancel(self):
        task = self.any(Task, EXECUTOR, "STATUS_EXECUTING")
        return self.random.choice([task.owner, task.worker]), TaskCancelled(key=task.key)

    def release(self):
        task = self.any(Task, "STATUS_DONE")
        return task.worker, OutputsReleased(models=(key(("model", task.key)),))

    def plan(self):
        return self.random.choice("abc"), PlanRegistered(key=key(("plan", random_or_new(self, Plan))), name=NAME)

    def end(self):
        plan = self.any(Plan)
        return plan.owner, PlanCancelled(key=plan.key)

    def register(self):
        archive = self.random.choice(ARCHIVES)
        return self.random.choice("abc"), function(random_or_new(self, Function), archive)

    def build(self):
        found = self.any(Function, "FUNCTION_STATUS_WAITING", "FUNCTION_STATUS_BUILDING")
        step = FunctionBuilding if found.status == "FUNCTION_STATUS_WAITING" else FunctionReady
        kind = step if self.random.random() < 0.9 else self.random.choice([FunctionFailed, FunctionCancelled])
        return found.owner, kind(key=found.key)

    def judge(self):
        kind = FunctionApproved if self.random.random() < 0.9 else FunctionRefused
        return self.random.choice("abc"), kind(archive=self.random.choice(ARCHIVES), by="u")

    def come_and_go(self):
        if self.records.get(Organization, "c").status == "member":
            return "a", OrganizationRemoved(organization="c")
        return "a", OrganizationAdmitted(organization="c", keys=keys(self.now))


def random_or_new(walk, kind):
    held = len(walk.records.held[kind])
    return held if walk.random.random() < 0.9 else walk.random.randrange(held + 1)


STEPS = [
    *[Walk.add, Walk.start, Walk.done] * 12,
    *[Walk.build, Walk.judge, Walk.release] * 4,
    *[Walk.plan, Walk.register, Walk.fail, Walk.cancel],
]
RARE = [Walk.end, Walk.come_and_go]


def walked(seed, steps):
    walk = Walk(seed)
    walk.write("a", walk.add()[1])
    for number in range(steps):
        if number % 40 == 39:
            walk.write(*walk.random.choice(RARE)(walk))
        walk.step()
    return walk


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_records_agree_whatever_is_written(seed):
    walked(seed, steps=200)


def test_the_walks_go_everywhere():
    walks = [walked(seed, steps=200) for seed in range(8)]
    accepted = sum((walk.accepted for walk in walks), Counter())
    refused = sum((walk.refused for walk in walks), Counter())
    assert accepted.keys() >= refused.keys()
    assert {"TaskAdded", "TaskStarted", "TaskDone", "OutputsReleased", "FunctionReady"} <= refused.keys()
    assert min(accepted.values()) > 0
    statuses = {task.status for walk in walks for task in walk.records.held[Task].values()}
    assert statuses == set(get_args(TaskStatus))


def check(records):
    held = {kind: list(records.held[kind].values()) for kind in KINDS}
    for kind in KINDS:
        for field in kind.index:
            for value in {getattr(each, field) for each in held[kind]}:
                scan = sorted((each for each in held[kind] if getattr(each, field) == value), key=lambda each: each.key)
                assert list(records.find(kind, field, value)) == scan
    for plan in held[Plan]:
        own = [task for task in held[Task] if task.plan == plan.key]
        assert plan.counts == Counter(task.status for task in own if task.required)
        optional = {task.key for task in own if not task.required and task.status not in ENDED}
        assert {task.key for task in records.find(Task, "optional_in", plan.key)} == optional
        status = plan_status(plan.counts, cancelled=bool(plan.cancelled_at))
        assert bool(plan.ended_at) == (status in OVER)
        if plan.started_at == 0:
            assert status == "PLAN_STATUS_CREATED" or not plan.counts
        failed = [task.key for task in own if task.required and task.status == "STATUS_FAILED"]
        assert (plan.failed_task in failed) == bool(failed)
        if plan.cancelled_at:
            assert all(task.status in ENDED for task in own)
    for task in held[Task]:
        parents = [records.get(Task, parent) for parent in {each.parent for each in task.inputs if each.parent}]
        assert task.waiting == sum(parent.status != "STATUS_DONE" for parent in parents)
        assert task.rank == (1 + max(parent.rank for parent in parents) if parents else 0)
        assert bool(task.ended_at) == (task.status in ENDED)
        assert bool(task.error) == (task.status == "STATUS_FAILED")
        if task.status not in ENDED:
            assert records.get(Organization, task.worker).status == "member"
            if task.status != "STATUS_EXECUTING":
                assert stands(records, task, records.get(Function, task.function)) == (task.status, "")
        if task.status in ("STATUS_EXECUTING", "STATUS_DONE"):
            assert not task.waiting
            assert task.attempt > 0
        made = list(records.find(Model, "task", task.key))
        assert len(made) == (task.status == "STATUS_DONE")
        for model in made:
            takers = [each for each in held[Task] if takes(each, task, model)]
            over = bool(takers) and all(each.status in ENDED for each in takers) and task.outputs["model"].transient
            assert releasable(records, task, model.output) == over
            assert model.due == (model.owner if over and model.blob else "")
            assert bool(model.blob) != bool(model.released)
            assert over or model.blob


def takes(task, parent, model):
    return any(each.parent == parent.key or each.asset == model.key for each in task.inputs)
