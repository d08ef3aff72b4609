"""The life of tasks and of the plan that they make."""

import re

import pytest
from msgspec.structs import replace

from comity.domain.events import (
    FunctionOutput,
    OutputMade,
    OutputsReleased,
    PlanCancelled,
    PlanRegistered,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskInput,
    TaskOutput,
    TaskStarted,
)
from comity.domain.records import Model, Performance, Plan
from comity.domain.releasing import releasable
from comity.domain.words import Permission
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound

PARENTS, EXECUTOR = "STATUS_WAITING_FOR_PARENT_TASKS", "STATUS_WAITING_FOR_EXECUTOR_SLOT"


def failed(made, word, error="EXECUTION_ERROR", **fields):
    return TaskFailed(key=made.key(word), error=error, **fields)


# Start.


def test_a_worker_starts_its_task(planned):
    planned.add("task")
    with pytest.raises(Forbidden, match=r"OE0102: task .* is run by b, not by a"):
        planned.write("a", TaskStarted(key=planned.key("task"), attempt=1))
    planned.write("b", TaskStarted(key=planned.key("task"), attempt=1, sandbox="bubblewrap"))
    found = planned.found("task")
    assert (found.status, found.attempt, found.sandbox, found.started_at) == (
        "STATUS_EXECUTING",
        1,
        "bubblewrap",
        planned.now,
    )
    with pytest.raises(NotFound, match="there is no task"):
        planned.write("b", TaskStarted(key=planned.key("nothing"), attempt=1))


def test_attempts_are_counted(planned):
    planned.add("task")
    with pytest.raises(Conflict, match=r"attempt 2 of task .* does not follow attempt 0"):
        planned.start("task", attempt=2)
    planned.start("task")
    began = planned.now
    with pytest.raises(Conflict, match=r"attempt 1 of task .* does not follow attempt 1"):
        planned.start("task", attempt=1)
    planned.start("task", attempt=2)
    found = planned.found("task")
    assert (found.status, found.attempt, found.started_at) == ("STATUS_EXECUTING", 2, began)


def test_a_task_that_waits_is_not_started(planned):
    planned.add("parent")
    planned.add("child", "parent")
    with pytest.raises(Conflict, match=rf"OE0104: task .* is {PARENTS} and cannot become STATUS_EXECUTING"):
        planned.start("child")


# Done.


def test_a_task_is_done_once_by_its_worker(planned):
    planned.add("task", outputs={"model": TaskOutput(Permission(authorized=("c",)))})
    with pytest.raises(Conflict, match=rf"OE0104: task .* is {EXECUTOR} and cannot become STATUS_DONE"):
        planned.write("b", planned.done("task"))
    planned.start("task")
    with pytest.raises(Forbidden, match=r"OE0102: task .* is run by b"):
        planned.write("a", planned.done("task"))
    planned.write("b", planned.done("task", durations={"run": 12}))
    found, model = planned.found("task"), planned.get(Model, ("model", "task"))
    assert (found.status, found.ended_at, found.durations) == ("STATUS_DONE", planned.now, {"run": 12})
    assert (model.owner, model.task, model.output, model.blob, model.size) == (
        "b",
        planned.key("task"),
        "model",
        planned.BLOB,
        3,
    )
    assert model.permission == Permission(authorized=("a", "c")), "the task's owner has asked for it"
    assert model.permission.allows("b", model.owner)
    with pytest.raises(Conflict, match="is STATUS_DONE and cannot become STATUS_DONE"):
        planned.write("b", planned.done("task", outputs={"model": OutputMade(key=planned.key(1), blob=planned.BLOB)}))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({}, "OE0106: task .* must leave"),
        ({"other": OutputMade()}, "OE0106: task .* must leave"),
        ({"model": OutputMade()}, "is a model, which is a blob with a key"),
        ({"model": OutputMade(blob="sha256:" + "0" * 64)}, "is a model"),
        ({"model": OutputMade(key="00000000-0000-0000-0000-000000000000")}, "is a model"),
        ({"model": OutputMade(performance="0.5")}, "is a model"),
        (
            {
                "model": OutputMade(
                    key="00000000-0000-0000-0000-000000000000", blob="sha256:" + "0" * 64, performance="0.5"
                )
            },
            "is a model",
        ),
    ],
)
def test_a_task_leaves_what_it_was_to_leave(planned, made, message):
    planned.add("task")
    planned.start("task")
    with pytest.raises(InvalidInput, match=message):
        planned.write("b", TaskDone(key=planned.key("task"), outputs=made))


def test_a_models_key_is_its_own(planned):
    planned.add("one")
    planned.add("two")
    planned.run("one")
    planned.start("two")
    outputs = {"model": OutputMade(key=planned.key(("model", "one")), blob=planned.BLOB)}
    with pytest.raises(Conflict, match="OE0006: there is a model"):
        planned.write("b", planned.done("two", outputs=outputs))


@pytest.fixture
def measured(planned):
    """A task "task" that is to leave the number "auc", and executes."""
    planned.write("a", planned.function("measure", outputs={"auc": FunctionOutput("ASSET_PERFORMANCE")}))
    planned.build("measure")
    planned.add("task", function=planned.key("measure"), outputs={"auc": TaskOutput(planned.PUBLIC)})
    planned.start("task")
    return planned


@pytest.mark.parametrize("number", [0.1, 1.0, -0.0, 1e22, 5e-324, 1.7976931348623157e308, float("inf"), float("nan")])
def test_a_performance_is_a_float_as_python_writes_it(measured, number):
    measured.write("b", measured.done("task", outputs={"auc": OutputMade(performance=repr(number))}))
    found = measured.get(Performance, f"{measured.key('task')}|auc")
    assert (found.value, found.output, found.plan) == (repr(number), "auc", measured.key("plan"))


@pytest.mark.parametrize("text", ["1", "0.10", "00.1", "10e-06", "1e+999", "0.30000000000000001"])
def test_a_number_has_one_form(measured, text):
    with pytest.raises(InvalidInput, match=rf"OE0106: the performance auc of task .* is {re.escape(text)}; write "):
        measured.write("b", measured.done("task", outputs={"auc": OutputMade(performance=text)}))


def test_a_performance_is_a_number_alone(measured):
    for made in (
        OutputMade(),
        OutputMade(key=measured.key("model"), blob=measured.BLOB),
        OutputMade(performance="0.5", blob=measured.BLOB),
        OutputMade(performance="0.5", key=measured.key("model")),
        OutputMade(performance="0.5", size=1),
    ):
        with pytest.raises(InvalidInput, match="is a performance, which is a number alone"):
            measured.write("b", measured.done("task", outputs={"auc": made}))


def test_a_child_is_ready_when_its_last_parent_is_done(planned):
    for word in ("p", "q"):
        planned.add(word)
    planned.add("child", "p", "q", worker="c")
    planned.run("q")
    assert (planned.status("child"), planned.found("child").waiting) == (PARENTS, 1)
    planned.run("p")
    assert (planned.status("child"), planned.found("child").waiting) == (EXECUTOR, 0)


# Failure and cancellation of a task.


def test_a_worker_fails_its_task_and_children_keep_their_status(planned):
    planned.add("task")
    planned.add("child", "task")
    with pytest.raises(Forbidden, match=r"OE0102: task .* is run by b"):
        planned.write("a", failed(planned, "task"))
    planned.start("task")
    planned.write("b", failed(planned, "task", log=True))
    found = planned.found("task")
    assert (found.status, found.error, found.log, found.ended_at) == (
        "STATUS_FAILED",
        "EXECUTION_ERROR",
        True,
        planned.now,
    )
    assert (planned.status("child"), planned.plan_status()) == (PARENTS, "PLAN_STATUS_FAILED")
    plan = planned.get(Plan, "plan")
    assert (plan.failed_task, plan.ended_at) == (planned.key("task"), planned.now)
    with pytest.raises(Conflict, match=r"OE0104: task .* is STATUS_FAILED and cannot become STATUS_FAILED"):
        planned.write("b", failed(planned, "task"))


def test_the_first_failure_is_the_plans(planned):
    for word in ("p", "q"):
        planned.add(word)
    planned.write("b", failed(planned, "q", "INTERNAL_ERROR"))
    ended = planned.now
    planned.write("b", failed(planned, "p"))
    plan = planned.get(Plan, "plan")
    assert (plan.failed_task, plan.ended_at) == (planned.key("q"), ended)


def test_owner_and_worker_cancel_a_task(planned):
    for word, author in (("p", "a"), ("q", "b")):
        planned.add(word)
        with pytest.raises(Forbidden, match=r"OE0102: task .* is a's and run by b"):
            planned.write("c", TaskCancelled(key=planned.key(word)))
        planned.write(author, TaskCancelled(key=planned.key(word)))
        assert (planned.status(word), planned.plan_status()) == ("STATUS_CANCELED", "PLAN_STATUS_CANCELED")
    with pytest.raises(Conflict, match="OE0104"):
        planned.write("a", TaskCancelled(key=planned.key("p")))


# Plans.


def test_a_plan_from_beginning_to_end(planned):
    with pytest.raises(Conflict, match="there is a plan"):
        planned.write("b", PlanRegistered(key=planned.key("plan"), name=planned.NAME))
    assert planned.plan_status() == "PLAN_STATUS_CREATED"
    planned.add("p")
    began = planned.now
    planned.add("q", "p")
    planned.run("p")
    assert planned.plan_status() == "PLAN_STATUS_DOING"
    planned.run("q")
    plan = planned.get(Plan, "plan")
    assert planned.plan_status() == "PLAN_STATUS_DONE"
    assert (plan.counts, plan.started_at, plan.ended_at) == ({"STATUS_DONE": 2}, began, planned.now)
    planned.add("more", "q")
    plan = planned.get(Plan, "plan")
    assert (planned.plan_status(), plan.started_at, plan.ended_at) == ("PLAN_STATUS_DOING", began, 0)


def test_a_plans_owner_cancels_all_that_is_open(planned):
    for word in ("done", "running", "ready"):
        planned.add(word)
    planned.add("waiting", "running")
    planned.add("optional", required=False)
    planned.run("done")
    planned.start("running")
    with pytest.raises(Forbidden, match=r"OE0102: the plan .* belongs to a"):
        planned.write("b", PlanCancelled(key=planned.key("plan")))
    planned.write("a", PlanCancelled(key=planned.key("plan")))
    assert planned.status("done") == "STATUS_DONE"
    for word in ("running", "ready", "waiting", "optional"):
        assert (planned.status(word), planned.found(word).ended_at) == ("STATUS_CANCELED", planned.now)
    plan = planned.get(Plan, "plan")
    assert plan.counts == {"STATUS_DONE": 1, "STATUS_CANCELED": 3}
    assert plan.cancelled_at == plan.ended_at == planned.now
    assert planned.plan_status() == "PLAN_STATUS_CANCELED"
    with pytest.raises(Conflict, match=r"OE0104: task .* is STATUS_CANCELED and cannot become STATUS_DONE"):
        planned.write("b", planned.done("running"))
    with pytest.raises(InvalidInput, match=r"OE0109: the plan .* was cancelled"):
        planned.start("ready")


def test_a_plan_is_cancelled_unless_it_has_failed_or_was_before(planned):
    planned.write("a", PlanCancelled(key=planned.key("plan")))
    with pytest.raises(InvalidInput, match=r"OE0109: the plan .* is PLAN_STATUS_CANCELED already"):
        planned.write("a", PlanCancelled(key=planned.key("plan")))
    planned.plan("failed")
    planned.add("task", plan=planned.key("failed"))
    planned.write("b", failed(planned, "task"))
    with pytest.raises(InvalidInput, match=r"OE0109: the plan .* is PLAN_STATUS_FAILED already"):
        planned.write("a", PlanCancelled(key=planned.key("failed")))
    with pytest.raises(NotFound, match="there is no plan"):
        planned.write("a", PlanCancelled(key=planned.key("nothing")))


# Optional tasks.


def test_optional_tasks_do_not_count(planned):
    planned.add("required")
    for word in ("fails", "is cancelled", "is done", "stays"):
        planned.add(word, required=False)
    planned.write("b", failed(planned, "fails"), TaskCancelled(key=planned.key("is cancelled")))
    planned.run("is done")
    plan = planned.get(Plan, "plan")
    assert (plan.counts, plan.failed_task) == ({EXECUTOR: 1}, "")
    assert planned.plan_status() == "PLAN_STATUS_DOING"


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_optional_tasks_that_are_open_when_the_plan_ends_are_cancelled(planned, end):
    planned.add("required")
    for word in ("runs", "is ready", "is done"):
        planned.add(word, required=False)
    planned.add("waits", "runs", required=False)
    planned.add("takes it", "required", required=False)
    planned.run("is done")
    planned.start("runs")
    planned.start("required")
    event = {
        "done": planned.done("required"),
        "failed": failed(planned, "required"),
        "cancelled": TaskCancelled(key=planned.key("required")),
    }[end]
    planned.write("b", event)
    for word in ("runs", "is ready", "waits", "takes it"):
        assert planned.status(word) == "STATUS_CANCELED"
    assert planned.status("is done") == "STATUS_DONE"


# Transient outputs.


@pytest.fixture
def transient(planned):
    """A task "parent" that is done and has left a transient model, and a child of it that is ready."""
    planned.add("parent", outputs={"model": TaskOutput(planned.PUBLIC, transient=True)})
    planned.add("child", "parent")
    planned.run("parent")
    return planned


def release(log, word="parent"):
    return OutputsReleased(models=(log.key(("model", word)),))


def test_a_transient_output_is_released_once_all_have_ended(transient):
    with pytest.raises(InvalidInput, match=r"OE0105: the model .* is not transient, or a task still needs it"):
        transient.write("b", release(transient))
    transient.run("child")
    running = replace(transient.found("parent"), status="STATUS_EXECUTING")
    assert not releasable(transient.records, running, "model")
    with pytest.raises(Forbidden, match=r"OE0102: the model .* belongs to b"):
        transient.write("a", release(transient))
    assert releasable(transient.records, transient.found("parent"), "model")
    transient.write("b", release(transient))
    assert transient.get(Model, ("model", "parent")).blob == ""
    transient.write("b", release(transient))
    with pytest.raises(NotFound, match="there is no model"):
        transient.write("b", release(transient, "nothing"))


@pytest.mark.parametrize("end", [TaskCancelled, TaskFailed])
def test_any_end_of_a_child_is_one(transient, end):
    fields = {"error": "EXECUTION_ERROR"} if end is TaskFailed else {}
    transient.write("b", end(key=transient.key("child"), **fields))
    transient.write("b", release(transient))


def test_every_child_counts_also_one_that_takes_the_model_by_its_key(transient):
    transient.plan("other")
    model = TaskInput("models", asset=transient.key(("model", "parent")))
    transient.add("by key", plan=transient.key("other"), inputs=(model,))
    transient.run("child")
    with pytest.raises(InvalidInput, match="OE0105"):
        transient.write("b", release(transient))
    transient.run("by key")
    transient.write("b", release(transient))


def test_what_is_not_transient_or_has_no_child_stays(planned):
    planned.add("childless", outputs={"model": TaskOutput(planned.PUBLIC, transient=True)})
    planned.add("kept")
    planned.add("child", "kept")
    planned.run("childless", "kept", "child")
    for word in ("childless", "kept"):
        with pytest.raises(InvalidInput, match="OE0105"):
            planned.write("b", release(planned, word))
