"""What fits a plan: every rule that Substra's orchestrator holds a task to when it is registered."""

from itertools import pairwise

import pytest

from comity.domain.events import (
    DatasetRegistered,
    DatasetWithdrawn,
    FunctionInput,
    FunctionOutput,
    OrganizationRemoved,
    OutputMade,
    OutputsReleased,
    PlanCancelled,
    Sample,
    SamplesRegistered,
    TaskCancelled,
    TaskFailed,
    TaskInput,
    TaskOutput,
)
from comity.domain.records import Child, Plan, Task
from comity.domain.words import Permission
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound

PARENTS, EXECUTOR = "STATUS_WAITING_FOR_PARENT_TASKS", "STATUS_WAITING_FOR_EXECUTOR_SLOT"
MANAGER, SAMPLES = FunctionInput(kind="ASSET_DATA_MANAGER"), FunctionInput(kind="ASSET_DATA_SAMPLE", multiple=True)


def test_a_task_as_it_is_added(planned):
    planned.add("task", tag_text=planned.NAME, metadata=planned.NAME)
    found = planned.found("task")
    assert (found.owner, found.worker, found.plan, found.function) == (
        "a",
        "b",
        planned.key("plan"),
        planned.key("function"),
    )
    assert (found.status, found.rank, found.waiting, found.attempt) == (EXECUTOR, 0, 0, 0)
    assert (found.created_at, found.started_at, found.ended_at) == (planned.now, 0, 0)
    assert (found.tag_text, found.metadata, found.required) == (planned.NAME, planned.NAME, True)
    assert planned.get(Plan, "plan").counts == {EXECUTOR: 1}
    assert planned.plan_status() == "PLAN_STATUS_DOING"
    with pytest.raises(Conflict, match="OE0006: there is a task"):
        planned.add("task")


def test_ranks_are_one_more_than_the_highest_parents(planned):
    edges = {"p": (), "q": ("p",), "r": ("p", "q"), "s": ("p",), "t": ("r", "s"), "u": ()}
    for word, parents in edges.items():
        planned.add(word, *parents)
    assert {word: planned.found(word).rank for word in edges} == {"p": 0, "q": 1, "r": 2, "s": 1, "t": 3, "u": 0}


def test_waiting_counts_each_parent_once(planned):
    planned.write("a", planned.function("two", outputs={"model": planned.MODEL, "other": planned.MODEL}))
    planned.build("two")
    planned.add(
        "parent", function=planned.key("two"), outputs={"model": TaskOutput(planned.PUBLIC), "other": TaskOutput()}
    )
    twice = tuple(
        TaskInput("models", parent=planned.key("parent"), output=output) for output in ("model", "other", "model")
    )
    planned.add("child", inputs=twice)
    assert planned.found("child").waiting == 1
    outputs = {name: OutputMade(key=planned.key(name), blob=planned.BLOB) for name in ("model", "other")}
    planned.start("parent")
    planned.write("b", planned.done("parent", outputs=outputs))
    assert (planned.found("child").waiting, planned.status("child")) == (0, EXECUTOR)


def test_parents_that_are_done_are_not_waited_for(planned):
    planned.add("early")
    planned.run("early")
    planned.add("late")
    planned.add("child", "early", "late")
    assert (planned.found("child").waiting, planned.status("child")) == (1, PARENTS)


@pytest.mark.parametrize("end", [TaskCancelled, TaskFailed])
def test_a_dead_parent_cancels_its_child_unless_it_is_optional(planned, end):
    fields = {"error": "EXECUTION_ERROR"} if end is TaskFailed else {}
    for word, required in (("needed", True), ("optional", False)):
        planned.add(word, required=required)
        planned.write("b", end(key=planned.key(word), **fields))
    planned.add("child of optional", "optional")
    assert (planned.status("child of optional"), planned.found("child of optional").waiting) == (PARENTS, 1)
    planned.add("child", "needed")
    found = planned.found("child")
    assert (found.status, found.error, found.ended_at) == ("STATUS_CANCELED", "", planned.now)


def test_the_plan_is_the_authors_own_and_not_cancelled(planned):
    with pytest.raises(Forbidden, match=r"OE0102: the plan .* belongs to a; b may not change it"):
        planned.write("b", planned.task("task"))
    with pytest.raises(NotFound, match="there is no plan"):
        planned.write("a", planned.task("task", plan=planned.key("nothing")))
    planned.write("a", PlanCancelled(key=planned.key("plan")))
    with pytest.raises(InvalidInput, match=r"OE0109: the plan .* was cancelled"):
        planned.add("task")


def test_the_worker_is_a_member(planned):
    planned.write("c", OrganizationRemoved(organization="c"))
    for worker in ("nobody", "c"):
        with pytest.raises(InvalidInput, match=f"OE0101: the worker {worker} is not a member"):
            planned.add("task", worker=worker)


def test_the_function_is_one_that_the_author_may_use(planned):
    with pytest.raises(NotFound, match="there is no function"):
        planned.add("task", function=planned.key("nothing"))
    planned.write("b", planned.function("private", permission=Permission(authorized=("c",))))
    with pytest.raises(Forbidden, match="OE0102: a may not use the function"):
        planned.add("task", function=planned.key("private"))
    for owner in ("b", "c"):
        planned.plan(owner, owner=owner)
        planned.add(("of", owner), plan=planned.key(owner), function=planned.key("private"))


# Outputs.


def test_a_task_names_the_functions_outputs(planned):
    for outputs in ({}, {"other": TaskOutput()}, {"model": TaskOutput(), "other": TaskOutput()}):
        with pytest.raises(InvalidInput, match=r"OE0101: task .* must name the outputs"):
            planned.add("task", outputs=outputs)
    with pytest.raises(InvalidInput, match="invalid permission input values: there is no organization nobody"):
        planned.add("task", outputs={"model": TaskOutput(Permission(authorized=("nobody",)))})


def test_a_performance_is_public_and_stays(planned):
    planned.write("a", planned.function("measure", outputs={"auc": FunctionOutput("ASSET_PERFORMANCE")}))
    for output in (TaskOutput(), TaskOutput(Permission(authorized=("a", "b", "c"))), TaskOutput(planned.PUBLIC, True)):
        with pytest.raises(InvalidInput, match="OE0101: the performance auc must be public and not transient"):
            planned.add("task", function=planned.key("measure"), outputs={"auc": output})
    planned.add("task", function=planned.key("measure"), outputs={"auc": TaskOutput(planned.PUBLIC)})


# Inputs.


def test_inputs_are_those_that_the_function_declares(planned):
    one = FunctionInput(kind="ASSET_MODEL")
    planned.write("a", planned.function("strict", inputs={"one": one}))
    planned.add("p")
    planned.add("q")

    def added(*inputs):
        planned.add("task", function=planned.key("strict"), inputs=inputs)

    with pytest.raises(InvalidInput, match="OE0101: the input one is missing"):
        added()
    with pytest.raises(InvalidInput, match="OE0101: the function has no input 'two'"):
        added(TaskInput("two", asset=planned.key("p")))
    good = TaskInput("one", parent=planned.key("p"), output="model")
    with pytest.raises(InvalidInput, match="OE0101: the input one takes one asset, not 2"):
        added(good, TaskInput("one", parent=planned.key("q"), output="model"))
    for wrong in (
        TaskInput("one"),
        TaskInput("one", parent=planned.key("p")),
        TaskInput("one", output="model"),
        TaskInput("one", asset=planned.key("x"), parent=planned.key("p"), output="model"),
        TaskInput("one", asset=planned.key("x"), output="model"),
    ):
        with pytest.raises(InvalidInput, match="OE0101: the input one needs either an asset, or a parent task"):
            added(wrong)
    added(good)


def test_optional_inputs_may_be_missing(planned):
    planned.add("task")
    assert planned.found("task").inputs == ()


def test_a_model_comes_from_a_task_that_is_there(planned):
    with pytest.raises(InvalidInput, match="OE0101: cyclic dependency in compute plan graph or unknown task parent"):
        planned.add("task", "nothing")
    with pytest.raises(InvalidInput, match="OE0101: cyclic dependency"):
        planned.add("task", "task")
    planned.write("a", planned.task("parent"), planned.task("child", "parent"))
    with pytest.raises(InvalidInput, match="has no output 'other'"):
        planned.add("task", inputs=(TaskInput("models", parent=planned.key("parent"), output="other"),))
    with pytest.raises(NotFound, match="there is no model"):
        planned.add("task", inputs=(TaskInput("models", asset=planned.key("nothing")),))


def test_kinds_must_match(planned):
    planned.write(
        "a",
        planned.function("measure", outputs={"auc": FunctionOutput("ASSET_PERFORMANCE")}),
        planned.function("many", outputs={"model": FunctionOutput("ASSET_MODEL", multiple=True)}),
        planned.function("one", inputs={"model": FunctionInput("ASSET_MODEL")}),
    )
    planned.add("measured", function=planned.key("measure"), outputs={"auc": TaskOutput(planned.PUBLIC)})
    with pytest.raises(InvalidInput, match=r"OE0107: the output auc of task .* is no model"):
        planned.add("task", inputs=(TaskInput("models", parent=planned.key("measured"), output="auc"),))
    planned.add("several", function=planned.key("many"))
    several = planned.key("several")
    with pytest.raises(InvalidInput, match="the input model takes one asset, the output model is several"):
        planned.add("task", function=planned.key("one"), inputs=(TaskInput("model", parent=several, output="model"),))
    planned.add("task", "several")


def test_the_worker_may_process_what_it_takes(planned):
    for word, permission in (("closed", planned.PRIVATE), ("open to c", Permission(authorized=("c",)))):
        planned.add(word, outputs={"model": TaskOutput(permission)})
    for parent, worker, allowed in (
        ("closed", "b", True),  # made there
        ("closed", "a", True),  # the task's owner
        ("closed", "c", False),
        ("open to c", "c", True),
    ):
        if allowed:
            planned.add((parent, worker), parent, worker=worker)
        else:
            with pytest.raises(Forbidden, match=f"OE0102: {worker} may not process the model at the input models"):
                planned.add((parent, worker), parent, worker=worker)
    planned.run("closed")
    model = TaskInput("models", asset=planned.key(("model", "closed")))
    for worker in "ab":
        planned.add(("by key", worker), inputs=(model,), worker=worker)
        assert (planned.found(("by key", worker)).rank, planned.found(("by key", worker)).waiting) == (0, 0)
    with pytest.raises(Forbidden, match="OE0102: c may not process the model"):
        planned.add("task", inputs=(model,), worker="c")


def test_a_model_that_was_released_is_gone(planned):
    planned.add("parent", outputs={"model": TaskOutput(planned.PUBLIC, transient=True)})
    planned.add("child", "parent")
    planned.run("parent", "child")
    model = planned.key(("model", "parent"))
    planned.write("b", OutputsReleased(models=(model,)))
    with pytest.raises(InvalidInput, match="OE0101: the model at the input models has been disabled"):
        planned.add("task", "parent")
    with pytest.raises(InvalidInput, match="OE0101: the model at the input models has been disabled"):
        planned.add("task", inputs=(TaskInput("models", asset=model),))


# Data.


@pytest.fixture
def data(planned):
    """A function "train" of a's that takes a dataset, and b's dataset "data" that a may use, its logs open to c."""
    planned.dataset(permission=Permission(authorized=("a",)), logs=Permission(authorized=("c",)))
    planned.write("a", planned.function("train", inputs={"opener": MANAGER, "datasamples": SAMPLES}))
    return planned


def train(log, *samples, dataset="data", **fields):
    inputs = (
        TaskInput("opener", asset=log.key(dataset)),
        *(TaskInput("datasamples", asset=log.key(each)) for each in samples),
    )
    return log.task("task", **{"function": log.key("train"), "inputs": inputs, **fields})


def test_a_task_on_data(data):
    data.write("a", train(data, "s2", "s1"))
    found = data.found("task")
    assert [each.asset for each in found.inputs[1:]] == [data.key("s2"), data.key("s1")], "their order is kept"
    assert found.logs_permission == Permission(authorized=("b", "c")), "that of the dataset and its owner"


def test_data_is_used_where_it_is_by_whom_its_owner_allows(data):
    with pytest.raises(InvalidInput, match=r"OE0101: the dataset .* is at b, so c cannot work"):
        data.write("a", train(data, "s1", worker="c"))
    data.plan("c's", owner="c")
    with pytest.raises(Forbidden, match="OE0102: c may not use the dataset"):
        data.write("c", train(data, "s1", plan=data.key("c's")))
    with pytest.raises(NotFound, match="there is no dataset"):
        data.write("a", train(data, "s1", dataset="nothing"))
    data.add("parent")
    inputs = (
        TaskInput("opener", parent=data.key("parent"), output="model"),
        TaskInput("datasamples", asset=data.key("s1")),
    )
    with pytest.raises(InvalidInput, match="is a dataset, not an output of a task"):
        data.write("a", train(data, inputs=inputs))


def test_samples_are_of_the_dataset(data):
    with pytest.raises(NotFound, match="there is no datasample"):
        data.write("a", train(data, "s1", "nothing"))
    data.write(
        "b",
        DatasetRegistered(key=data.key("other"), name=data.NAME, opener=data.BLOB, description=data.BLOB),
        SamplesRegistered(samples=(Sample(data.key("s9"), data.BLOB),), datasets=(data.key("other"),)),
    )
    with pytest.raises(InvalidInput, match=r"OE0101: the data sample .* is not of the dataset"):
        data.write("a", train(data, "s1", "s9"))
    with pytest.raises(InvalidInput, match="OE0101: the input datasamples is missing"):
        data.write("a", train(data))
    data.add("parent")
    inputs = (
        TaskInput("opener", asset=data.key("data")),
        TaskInput("datasamples", parent=data.key("parent"), output="model"),
    )
    with pytest.raises(InvalidInput, match="is a data sample, not an output of a task"):
        data.write("a", train(data, inputs=inputs))


def test_a_withdrawn_dataset_takes_no_new_task(data):
    data.write("a", train(data, "s1"))
    data.write("b", DatasetWithdrawn(key=data.key("data")))
    with pytest.raises(Forbidden, match="OE0102: b has withdrawn the dataset"):
        data.write("a", train(data, "s1", key=data.key("later")))
    data.build("train")
    data.start("task")


# Logs and links.


def test_who_may_read_the_logs_of_a_task_without_data(data):
    data.write("a", train(data, "s1"))
    data.build("train")
    data.plan("c's", owner="c")
    data.add("alone")
    data.add("child", "task", "alone")
    assert data.found("alone").logs_permission == Permission(authorized=("a",))
    assert data.found("child").logs_permission == Permission(authorized=("a", "b", "c")), (
        "a task's parents' and its own"
    )
    data.add("of c", "alone", plan=data.key("c's"))
    assert data.found("of c").logs_permission == Permission(authorized=("a", "c"))


def test_a_chain_is_linked_parent_to_child(planned):
    words = ["p", "q", "r"]
    planned.add("p")
    planned.add("q", "p")
    planned.add("r", "q")
    for parent, child in pairwise(words):
        links = planned.records.find(Child, "parent", planned.key(parent))
        assert [each.child for each in links] == [planned.key(child)]
    assert len(planned.records.find(Task, "plan", planned.key("plan"))) == 3
