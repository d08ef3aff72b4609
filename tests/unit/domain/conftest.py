"""A channel in memory: real keys, real signatures, a real Merkle tree, and a short way to write each event."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from comity.domain.conducting import Decision, decide
from comity.domain.entry import Entry, Leaf, Seen, Statement, canonical, leaf_bytes, read_leaf, sign
from comity.domain.events import (
    Admission,
    AnyEvent,
    ChannelCreated,
    DatasetRegistered,
    FunctionApproved,
    FunctionBuilding,
    FunctionInput,
    FunctionOutput,
    FunctionReady,
    FunctionRegistered,
    Growth,
    OrganizationAdmitted,
    OutputMade,
    PlanRegistered,
    Sample,
    SamplesRegistered,
    SiteData,
    SumClosed,
    TaskAdded,
    TaskDone,
    TaskFailed,
    TaskInput,
    TaskOutput,
    TaskStarted,
)
from comity.domain.growing import task_key
from comity.domain.log import admit
from comity.domain.membership import CHANNEL
from comity.domain.plans import status_of
from comity.domain.records import Channel, Function, Organization, Plan, Record, RecordsInMemory, Task
from comity.domain.states import PlanStatus, TaskStatus, plan_status
from comity.domain.words import Permission, commitment
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.values.digest import digest
from comity.values.keys import Identity, to_base64

HUB = to_base64(bytes(range(32)))
NAME = commitment(bytes(16), "a name")
BLOB = digest(b"a blob")
PUBLIC, PRIVATE = Permission(public=True), Permission()
MODEL = FunctionOutput(kind="ASSET_MODEL")


def key(word: object) -> str:
    """The same UUID for the same word."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(word)))


def identity(word: str) -> Identity:
    """The same keys for the same word."""
    return Identity.from_bytes(bytes.fromhex(digest(word.encode())[7:]) * 2)


class Log:
    """One channel's log as a hub and a node see it, with the keys of every author at hand."""

    BLOB, HUB, NAME, PUBLIC, PRIVATE, MODEL = BLOB, HUB, NAME, PUBLIC, PRIVATE, MODEL
    key, identity = staticmethod(key), staticmethod(identity)

    def __init__(self, *members: str, members_admit: int = 0) -> None:
        self.records = RecordsInMemory()
        self.tree = Tree(HashesInMemory(), size=0)
        self.identities: dict[str, Identity] = {}
        self.now = 1000
        founder, *others = members
        self.identities[founder] = identity(founder)
        created = ChannelCreated(
            keys=self.identities[founder].public, hub=HUB, name=NAME, admission=Admission(members_admit), nonce="n"
        )
        self.write(founder, created)
        for name in others:
            self.identities[name] = identity(name)
            admitted = OrganizationAdmitted(organization=name, keys=self.identities[name].public)
            for member in [each for each in self.identities if each != name][: max(1, members_admit)]:
                self.write(member, admitted)

    def statement(self, author: str, *events: AnyEvent) -> Statement:
        """What the author has to sign next."""
        found, channel = self.records.get(Organization, author), self.records.get(Channel, CHANNEL)
        seen = Seen(self.tree.size, to_base64(self.tree.root()))
        id = key((self.tree.size, author))
        if channel is None:
            return Statement(author=author, id=id, seen=seen, events=events)
        return Statement(
            rules=channel.rules,
            channel=channel.digest,
            author=author,
            epoch=found.epoch if found else 0,
            sequence=found.sequence if found else 0,
            previous=found.previous if found else "",
            id=id,
            seen=seen,
            events=events,
        )

    def leaf(self, statement: Statement, signer: Identity | None = None) -> Leaf:
        """The statement as the hub would put it next into the log."""
        entry = sign(statement, signer or self.identities[statement.author], {})
        return self.ordered(entry)

    def ordered(self, entry: Entry) -> Leaf:
        return read_leaf(leaf_bytes(entry, self.now))

    def put(self, leaf: Leaf) -> Statement:
        """Admit a leaf; when it is refused, nothing has changed."""
        held = {kind: dict(records) for kind, records in self.records.held.items()}
        try:
            statement, draft = admit(self.records, leaf, self.tree.size, self.tree.root)
        finally:
            assert self.records.held == held
        for record in draft.changed.values():
            self.records.put(record)
        self.tree.append(leaf_hash(canonical(leaf)))
        return statement

    def write(self, author: str, *events: AnyEvent) -> None:
        """The author's next entry, a second later."""
        self.now += 1000
        self.put(self.leaf(self.statement(author, *events)))

    # What tests ask.

    def get(self, kind: type[Record], word: object) -> Any:
        """The record of this key, or of the key made of this word."""
        found = self.records.get(kind, str(word)) or self.records.get(kind, key(word))
        assert found is not None
        return found

    def found(self, word: object) -> Task:
        return self.get(Task, word)

    def status(self, word: object) -> TaskStatus:
        return self.found(word).status

    def plan_status(self, word: object = "plan") -> PlanStatus:
        plan = self.get(Plan, word)
        return plan_status(plan.counts, cancelled=bool(plan.cancelled_at))

    # What tests write.

    @staticmethod
    def function(word: str = "function", **fields: Any) -> FunctionRegistered:
        """A function that all may use, with a model for its output."""
        made = FunctionRegistered(
            key=key(word), name=NAME, archive=BLOB, description=BLOB, outputs={"model": MODEL}, permission=PUBLIC
        )
        return replace(made, **fields)

    def build(self, word: str = "function") -> None:
        """Every member approves of the function, and its owner builds it."""
        found = self.get(Function, word)
        for name in self.identities:
            if name != found.owner and self.get(Organization, name).status == "member":
                self.write(name, FunctionApproved(archive=found.archive, by="u"))
        self.write(found.owner, FunctionBuilding(key=found.key))
        self.write(found.owner, FunctionReady(key=found.key, durations={"build": 7}))

    @staticmethod
    def task(word: object, *parents: object, **fields: Any) -> TaskAdded:
        """A task of "plan" and "function" at b; its input "models" are its parents' models."""
        inputs = tuple(TaskInput(identifier="models", parent=key(each), output="model") for each in parents)
        made = TaskAdded(
            key=key(word),
            plan=key("plan"),
            function=key("function"),
            worker="b",
            inputs=inputs,
            outputs={"model": TaskOutput(permission=PUBLIC)},
        )
        return replace(made, **fields)

    def add(self, word: object, *parents: object, **fields: Any) -> None:
        """Its plan's owner adds such a task."""
        event = self.task(word, *parents, **fields)
        self.write(self.get(Plan, event.plan).owner, event)

    @staticmethod
    def done(word: object, **fields: Any) -> TaskDone:
        """Such a task has left its model, ("model", word)."""
        made = TaskDone(key=key(word), outputs={"model": OutputMade(key=key(("model", word)), blob=BLOB, size=3)})
        return replace(made, **fields)

    def plan(self, word: str = "plan", owner: str = "a") -> None:
        self.write(owner, PlanRegistered(key=key(word), name=NAME))

    def dataset(self, owner: str = "b", permission: Permission = PUBLIC, logs: Permission = PRIVATE) -> None:
        """Dataset "data" with the samples "s1" and "s2"."""
        self.write(
            owner,
            DatasetRegistered(
                key=key("data"),
                name=NAME,
                opener=BLOB,
                description=BLOB,
                permission=permission,
                logs_permission=logs,
            ),
            SamplesRegistered(
                samples=(Sample(key("s1"), BLOB), Sample(key("s2"), BLOB)),
                datasets=(key("data"),),
            ),
        )

    def start(self, word: object, attempt: int = 1) -> None:
        """The worker begins an attempt."""
        self.write(self.found(word).worker, TaskStarted(key=key(word), attempt=attempt))

    def run(self, *words: object) -> None:
        """The workers begin and end tasks, one after the other."""
        for word in words:
            self.start(word)
            self.write(self.found(word).worker, self.done(word))


@pytest.fixture
def log() -> Callable[..., Log]:
    return Log


@pytest.fixture
def three() -> Log:
    """The members a (who founded it), b and c."""
    return Log("a", "b", "c")


@pytest.fixture
def planned() -> Log:
    """The same with "function" ready everywhere, taking any number of "models", and an empty plan of a's."""
    made = Log("a", "b", "c")
    models = FunctionInput(kind="ASSET_MODEL", multiple=True, optional=True)
    made.write("a", made.function(inputs={"models": models}))
    made.build()
    made.plan()
    return made


class Grown:
    """An experiment "plan" of a's, as its conductor and its sites write it; a adds up, and every site approves."""

    left = staticmethod(lambda function, task, value: left(function, task, value))

    def __init__(self, *members: str, sites: str = "abc", built: bool = True, **growth: Any) -> None:
        self.log = Log(*(members or "abcd"))
        self.said: list[AnyEvent] = []
        """By the conductor."""
        self.most = 1000
        """Events of a decision that are said before it is made anew."""
        self.functions = {stage: key(("stage", stage)) for stage in STAGES}
        for site in sites:
            self.register(site)
        metrics = growth.get("metrics", ())
        for stage, (inputs, outputs) in stages(metrics, growth).items():
            self.log.write("a", self.log.function(("stage", stage), inputs=inputs, outputs=outputs))
        if built:
            self.approve(*({*sites, growth.get("aggregator", "a")} - {"a"}))
            for function in self.functions.values():
                self.log.write("a", FunctionBuilding(key=function), FunctionReady(key=function))
        self.growth = Growth(
            **{
                "experiment": "{}",
                "sites": {site: SiteData(dataset=key(("data", site)), samples=(key(("s", site)),)) for site in sites},
                "aggregator": "a",
                "functions": self.functions,
                "rounds": 2,
                "deadline": DEADLINE,
                **growth,
            }
        )

    @property
    def plan(self) -> Plan:
        return self.log.get(Plan, "plan")

    @property
    def status(self) -> PlanStatus:
        return status_of(self.plan)

    def register(self, site: str) -> None:
        """The site's dataset, which everybody may use."""
        dataset, sample = key(("data", site)), Sample(key(("s", site)), BLOB)
        made = DatasetRegistered(key=dataset, name=NAME, opener=BLOB, description=BLOB, permission=PUBLIC)
        self.log.write(site, made, SamplesRegistered(samples=(sample,), datasets=(dataset,)))

    def approve(self, *sites: str) -> None:
        for site in sites:
            self.log.write(site, FunctionApproved(archive=BLOB, by="u"))

    def begin(self) -> Grown:
        """Register the plan, and conduct it up to its first state."""
        self.registered()
        self.conduct()
        self.done("init", 0)
        return self

    def registered(self) -> None:
        self.log.write("a", PlanRegistered(key=key("plan"), name=NAME, growth=self.growth))

    def decide(self) -> Decision:
        return decide(self.log.records, self.plan, self.log.now)

    def conduct(self) -> Decision:
        """Say what is decided until there is nothing to say; what is then waited for."""
        for _ in range(100):
            decision = self.decide()
            if not decision.events:
                return decision
            self.said += decision.events[: self.most]
            self.log.write("a", *decision.events[: self.most])
        raise AssertionError("the conductor does not come to rest")

    def key(self, stage: str, number: int, site: str = "", attempt: int = 1) -> str:
        return task_key(key("plan"), number, stage, site, attempt)

    def task(self, stage: str, number: int, site: str = "", attempt: int = 1) -> Task:
        return self.log.get(Task, self.key(stage, number, site, attempt))

    def start(self, stage: str, number: int, site: str = "", attempt: int = 1) -> None:
        task = self.task(stage, number, site, attempt)
        self.log.write(task.worker, TaskStarted(key=task.key, attempt=1 + task.attempt))

    def done(self, stage: str, number: int, site: str = "", attempt: int = 1, value: str = "0.5") -> None:
        """The worker begins a task, unless it has, and leaves its outputs; every number of them is the value."""
        if self.task(stage, number, site, attempt).status != "STATUS_EXECUTING":
            self.start(stage, number, site, attempt)
        task = self.task(stage, number, site, attempt)
        self.log.write(
            task.worker, TaskDone(key=task.key, outputs=left(self.log.get(Function, task.function), task, value))
        )

    def fail(self, stage: str, number: int, site: str = "", attempt: int = 1) -> None:
        task = self.task(stage, number, site, attempt)
        self.log.write(task.worker, TaskFailed(key=task.key, error="EXECUTION_ERROR"))

    def locals(self, number: int, *sites: str) -> None:
        """These sites do their part of a round."""
        for site in sites:
            self.done("local", number, site)

    def gather(self, number: int) -> None:
        """Sum and step of a round."""
        if not self.growth.sees_each:
            self.done("sum", number)
        self.done("step", number, value="0.0")

    def sum_closes(self, number: int, *sites: str, stage: str = "sum", by: str = "") -> None:
        """The aggregator says that these sites are in the masked sum of a round."""
        part = "evaluate" if stage == "scores" else "local"
        keys = tuple(self.key(part, number, site) for site in sites)
        event = SumClosed(task=self.key(stage, number), included=keys, root=BLOB if sites else "", clipped=7)
        self.log.write(by or self.growth.aggregator, event)

    def round(self, number: int, *sites: str) -> None:
        """A round that is closed once these sites have done their part."""
        self.locals(number, *sites)
        self.conduct()
        self.gather(number)
        self.conduct()

    def included(self, number: int, stage: str = "sum") -> list[tuple[str, int]]:
        """(site, attempt) of the parts that a task takes."""
        gather, part = self.task(stage, number), "evaluate" if stage == "scores" else "local"
        taken = {each.parent for each in gather.inputs if each.identifier == "parts"}
        attempts = range(1, self.growth.retries + 2)
        found = [(s, n) for s in sorted(self.growth.sites) for n in attempts if self.key(part, number, s, n) in taken]
        assert len(found) == len(taken)
        return found


STAGES = ("init", "local", "step", "evaluate", "finish")

DEADLINE = 60_000


def stages(metrics: Sequence[str], growth: Mapping[str, Any]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Inputs and outputs of each stage's function, as `comity.sdk.growth` declares them."""
    model, tree = FunctionInput("ASSET_MODEL"), FunctionOutput("ASSET_MODEL", form="tree")
    memory = FunctionInput("ASSET_MODEL", optional=True)
    data = {
        "opener": FunctionInput("ASSET_DATA_MANAGER"),
        "datasamples": FunctionInput("ASSET_DATA_SAMPLE", multiple=True),
    }
    parts = {"parts": FunctionInput("ASSET_MODEL", multiple=True, optional=True)}
    number = FunctionOutput("ASSET_PERFORMANCE")
    finished = {"finished": number} if growth.get("finishes") else {}
    measured = dict.fromkeys(metrics, number)
    return {
        "init": ({"start": memory}, {"state": tree}),
        "local": ({**data, "state": model, "memory": memory}, {"contribution": tree, "memory": tree}),
        "step": (
            {"state": model, **(parts if growth.get("sees_each") else {"total": model})},
            {"state": tree, **finished},
        ),
        "evaluate": (
            {**data, "state": model, "memory": memory},
            {"scores": tree, **({} if growth.get("masking") else measured)},
        ),
        "finish": ({"total": model}, measured),
    }


def left(function: Function, task: Task, value: str) -> dict[str, OutputMade]:
    """What a task leaves: models with keys of their own, and this number."""
    return {
        name: OutputMade(performance=value)
        if function.outputs[name].kind == "ASSET_PERFORMANCE"
        else OutputMade(key=key((task.key, name)), blob=BLOB, size=3)
        for name in task.outputs
    }


@pytest.fixture
def grown() -> Callable[..., Grown]:
    """An experiment in two rounds over a, b and c, unless told otherwise, that has its first state."""
    return lambda *members, **given: Grown(*members, **given).begin()


@pytest.fixture
def unbegun() -> Callable[..., Grown]:
    """The same before its plan is registered."""
    return Grown


@pytest.fixture(scope="module")
def unbegun_for_all() -> Callable[..., Grown]:
    """As `unbegun`, for all cases of a property."""
    return Grown
