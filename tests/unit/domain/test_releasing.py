"""What is left of an experiment: what only its rounds needed goes as soon as nobody needs it any more."""

from __future__ import annotations

import pytest

from comity.domain.conducting import decide
from comity.domain.events import (
    DatasetRegistered,
    FunctionInput,
    FunctionOutput,
    Growth,
    OutputMade,
    OutputsReleased,
    PlanRegistered,
    Sample,
    SamplesRegistered,
    SiteData,
    TaskAdded,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskInput,
    TaskOutput,
    TaskStarted,
)
from comity.domain.growing import task_key
from comity.domain.records import Model, Plan, Task

MODEL = FunctionInput(kind="ASSET_MODEL")
OPTIONAL = FunctionInput(kind="ASSET_MODEL", optional=True)
SITE = {
    "opener": FunctionInput(kind="ASSET_DATA_MANAGER"),
    "datasamples": FunctionInput(kind="ASSET_DATA_SAMPLE", multiple=True),
    "state": MODEL,
    "memory": OPTIONAL,
}
TREE = FunctionOutput(kind="ASSET_MODEL", form="tree")
NUMBER = FunctionOutput(kind="ASSET_PERFORMANCE")
SIGNATURES = {
    "init": ({"start": OPTIONAL}, {"state": TREE}),
    "local": (SITE, {"contribution": TREE, "memory": TREE}),
    "step": ({"state": MODEL, "total": MODEL}, {"state": TREE}),
    "evaluate": (SITE, {"scores": TREE, "accuracy": NUMBER}),
    "finish": ({"total": MODEL}, {"accuracy": NUMBER}),
}
READY = "STATUS_WAITING_FOR_EXECUTOR_SLOT"


class Experiment:
    """A plan of a's that grows for three rounds, with the sites a, b and c; a's node sums and steps."""

    def __init__(self, log, **fields):
        self.log, self.key = log, log.key("experiment")
        sites = {}
        for owner in "abc":
            data, sample = log.key(("data", owner)), log.key(("sample", owner))
            registered = DatasetRegistered(
                key=data,
                name=log.NAME,
                opener=log.BLOB,
                description=log.BLOB,
                permission=log.PUBLIC,
                logs_permission=log.PRIVATE,
            )
            log.write(owner, registered, SamplesRegistered(samples=(Sample(sample, log.BLOB),), datasets=(data,)))
            sites[owner] = SiteData(dataset=data, samples=(sample,))
        for stage, (inputs, outputs) in SIGNATURES.items():
            log.write("a", log.function(stage, inputs=inputs, outputs=outputs))
            log.build(stage)
        given = {"rounds": 3, "metrics": ("accuracy",), "quorum": "2.0", "deadline": 1_000_000, **fields}
        functions = {stage: log.key(stage) for stage in SIGNATURES}
        growth = Growth(experiment="{}", sites=sites, aggregator="a", functions=functions, **given)
        log.write("a", PlanRegistered(key=self.key, name=log.NAME, growth=growth))

    def conduct(self):
        """What the conductor says by now."""
        while events := decide(self.log.records, self.log.get(Plan, self.key), self.log.now).events:
            self.log.write("a", *events)

    def ready(self):
        tasks = self.log.records.find(Task, "plan", self.key)
        return [task for task in tasks if task.status == READY]

    def start(self, task):
        self.log.write(task.worker, TaskStarted(key=task.key, attempt=1))

    def done(self, task):
        outputs = {}
        for name in task.outputs:
            model = OutputMade(key=self.log.key((task.key, name)), blob=self.log.BLOB, size=1)
            outputs[name] = OutputMade(performance="0.5") if name == "accuracy" else model
        self.log.write(task.worker, TaskDone(key=task.key, outputs=outputs))

    def run(self, *, without=()):
        """Work as long as there is something to do, and release what is due; but for the tasks left out."""
        self.conduct()
        while tasks := [task for task in self.ready() if task.key not in without]:
            for task in tasks:
                self.start(task)
                self.done(task)
                self.release()
            self.conduct()

    def release(self):
        """What each node does."""
        for owner in "abc":
            if due := list(self.log.records.find(Model, "due", owner)):
                self.log.write(owner, OutputsReleased(models=tuple(model.key for model in due)))

    def left(self):
        """What is there: (stage, round, site where it is a site's, output)."""
        models = [each for owner in "abc" for each in self.log.records.find(Model, "owner", owner) if each.blob]
        tasks = [(self.log.get(Task, each.task), each.output) for each in models]
        return sorted((task.stage, task.round, task.worker, output) for task, output in tasks)

    def task(self, stage, round, site="", attempt=1):
        return task_key(self.key, round, stage, site, attempt)


@pytest.fixture
def experiment(three):
    return lambda **fields: Experiment(three, **fields)


LAST = [("local", 3, site, "memory") for site in "abc"] + [("step", 3, "a", "state")]
"""What personal models, and a run that goes on from here, need."""


def test_the_last_state_and_the_last_memories_stay(experiment):
    made = experiment()
    made.run()
    assert made.log.get(Plan, made.key).ended_at
    assert made.left() == LAST


def test_all_states_and_memories_stay_when_the_best_will_be_chosen(experiment):
    made = experiment(keep=True)
    made.run()
    states = [("init", 0, "a", "state"), *(("step", round, "a", "state") for round in (1, 2))]
    memories = [("local", round, site, "memory") for round in (1, 2) for site in "abc"]
    assert made.left() == sorted([*LAST, *states, *memories])


def test_a_state_stays_while_it_is_measured(experiment):
    made = experiment()
    measured = made.task("evaluate", 1, "b")
    made.run(without=[measured])
    assert ("step", 1, "a", "state") in made.left()
    made.run()
    assert made.left() == LAST


def test_a_state_stays_until_there_is_a_later_one(experiment):
    """A round that fails takes nothing from those before."""
    made = experiment()
    made.run(without=[made.task("step", 2)])
    assert ("step", 1, "a", "state") in made.left()
    step = made.log.get(Task, made.task("step", 2))
    made.start(step)
    made.log.write("a", TaskFailed(key=step.key, error="EXECUTION_ERROR"))
    made.release()
    assert ("step", 1, "a", "state") in made.left()


def test_a_part_that_is_late_goes_when_it_comes(experiment):
    made = experiment()
    late = made.task("local", 1, "c")
    made.conduct()
    made.run(without=[late, made.task("local", 2, "a")])
    made.start(made.log.get(Task, late))
    made.log.now += 2_000_000
    made.conduct()
    assert late not in [each.parent for each in made.log.get(Task, made.task("sum", 1)).inputs]
    made.done(made.log.get(Task, late))
    assert {model.output for model in made.log.records.find(Model, "due", "c")} == {"contribution", "memory"}
    made.release()
    made.run()
    assert made.left() == LAST


def test_a_further_attempt_is_a_part_as_any_other(experiment):
    made = experiment(retries=1, rounds=1)
    again = made.task("local", 1, "c", 2)
    made.run(without=[made.task("local", 1, "c")])
    made.log.write("c", TaskFailed(key=made.task("local", 1, "c"), error="EXECUTION_ERROR"))
    made.conduct()
    assert again in [each.parent for each in made.log.get(Task, made.task("sum", 1)).inputs]
    made.start(made.log.get(Task, again))
    made.log.now += 2_000_000
    made.conduct()
    assert made.log.get(Plan, made.key).absent == ("c",)
    made.done(made.log.get(Task, again))
    assert {model.output for model in made.log.records.find(Model, "due", "c")} == {"contribution", "memory"}


def test_a_state_that_another_plan_starts_from_stays_until_that_has_begun(experiment):
    made = experiment()
    made.run(without=[made.task("step", 2)])
    log = made.log
    other = log.key("other")
    growth = log.get(Plan, made.key).growth
    log.write("a", PlanRegistered(key=other, name=log.NAME))
    model = next(each for each in log.records.find(Model, "task", made.task("step", 1)))
    taken = TaskAdded(
        key=log.key("first"),
        plan=other,
        function=growth.functions["init"],
        worker="a",
        inputs=(TaskInput("start", asset=model.key),),
        outputs={"state": TaskOutput(log.PUBLIC)},
    )
    log.write("a", taken)
    made.run()
    assert log.get(Model, model.key).blob
    log.write("a", TaskCancelled(key=taken.key))
    made.release()
    assert not log.get(Model, model.key).blob


def test_what_is_due_is_not_when_another_task_takes_it(planned):
    planned.add("parent", outputs={"model": TaskOutput(planned.PUBLIC, transient=True)})
    planned.add("child", "parent")
    planned.run("parent", "child")
    key = planned.key(("model", "parent"))
    assert [model.key for model in planned.records.find(Model, "due", "b")] == [key]
    planned.add("another", "parent")
    assert not list(planned.records.find(Model, "due", "b"))
    planned.run("another")
    planned.write("b", OutputsReleased(models=(key,)))
    released = planned.get(Model, key)
    assert (released.blob, released.released, released.due) == ("", planned.BLOB, "")


def test_what_nobody_is_left_to_take_is_due_at_once(planned):
    """Every child was cancelled before its parent was done."""
    planned.add("parent", outputs={"model": TaskOutput(planned.PUBLIC, transient=True)})
    planned.add("child", "parent")
    planned.write("a", TaskCancelled(key=planned.key("child")))
    planned.run("parent")
    assert len(list(planned.records.find(Model, "due", "b"))) == 1
