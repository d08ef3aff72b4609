"""The life of a task from its start to its end, and how its status follows from its function and its parents.

The rules are those of Substra's orchestrator (lib/service/computetask.go of its release 1.0.0).
"""

from __future__ import annotations

from msgspec.structs import replace

from comity.domain.events import OutputMade, TaskCancelled, TaskDone, TaskFailed, TaskStarted
from comity.domain.membership import Act
from comity.domain.plans import move
from comity.domain.records import Approval, Child, Draft, Function, Model, Performance, Plan, Records, Task, need
from comity.domain.releasing import made_transient, weigh
from comity.domain.states import WAITING, TaskStatus
from comity.domain.sums import SUM
from comity.domain.words import Permission
from comity.values.errors import Conflict, Forbidden, InvalidInput


def task_started(records: Draft, act: Act, event: TaskStarted) -> None:
    """The worker begins an attempt; a later attempt begins when one was lost without a commit."""
    task = _worked(records, act, event.key)
    plan = need(records, Plan, task.plan)
    if plan.cancelled_at:
        raise InvalidInput(f"OE0109: the plan {plan.key} was cancelled")
    if event.attempt != task.attempt + 1:
        raise Conflict(f"attempt {event.attempt} of task {task.key} does not follow attempt {task.attempt}")
    began = task.started_at or act.at
    task = replace(task, attempt=event.attempt, sandbox=event.sandbox, started_at=began, ruled=event.ruled)
    move(records, act, task, "STATUS_EXECUTING")


def task_done(records: Draft, act: Act, event: TaskDone) -> None:
    """The worker has committed every output; its children may have become ready."""
    task = _worked(records, act, event.key)
    function = need(records, Function, task.function)
    if event.outputs.keys() != task.outputs.keys():
        raise InvalidInput(f"OE0106: task {task.key} must leave {sorted(task.outputs)}, not {sorted(event.outputs)}")
    for name, output in event.outputs.items():
        if function.outputs[name].kind == "ASSET_PERFORMANCE":
            _measured(records, act, task, name, output)
        else:
            _left(records, act, task, name, output)
    task = replace(task, durations=event.durations, ruled=event.ruled or task.ruled)
    move(records, act, task, "STATUS_DONE")
    weigh(records, task.key)
    if task.stage == "step":
        _succeeded(records, task)
    for each in records.find(Child, "parent", task.key):
        child = need(records, Task, each.child)
        if _counts(child, task):
            child = replace(child, waiting=child.waiting - 1)
            records.put(child)
            function_changed(records, act, child)


def _succeeded(records: Draft, step: Task) -> None:
    """There is a later state: nobody will ask for the one before, or for memories before, unless the plan keeps all.

    Not sooner: the last state that there is can be had, with the memories that belong to it, also of a plan whose next
    round fails, or is cancelled: it can be continued.
    """
    plan = need(records, Plan, step.plan)
    if plan.growth is None or plan.growth.keep:
        return
    for each in step.inputs:
        if each.identifier == "state":
            made_transient(records, each.parent, each.output)
    for key in plan.superseded:
        made_transient(records, key, "memory")
    records.put(replace(plan, superseded=()))


def waits(records: Draft, task: Task) -> int:
    """How many parents are not done, and one more while the task is not told which parts it takes."""
    parents = [need(records, Task, key) for key in dict.fromkeys(each.parent for each in task.inputs if each.parent)]
    return task.gathers + sum(each.status != "STATUS_DONE" and _counts(task, each) for each in parents)


def _counts(child: Task, parent: Task) -> bool:
    """Whether a task waits for a parent: not for a part of a round that it is not told to take, nor a late one."""
    if child.gathers and not parent.required:
        return False
    return any(each.parent == parent.key for each in child.inputs)


def _measured(records: Draft, act: Act, task: Task, name: str, output: OutputMade) -> None:
    if output != OutputMade(performance=output.performance) or not output.performance:
        raise InvalidInput(f"OE0106: the output {name} of task {task.key} is a performance, which is a number alone")
    if repr(float(output.performance)) != output.performance:
        raise InvalidInput(
            f"OE0106: the performance {name} of task {task.key} is {output.performance}; "
            f"write {float(output.performance)!r}"
        )
    records.put(
        Performance(
            key=f"{task.key}|{name}",
            task=task.key,
            plan=task.plan,
            output=name,
            value=output.performance,
            created_at=act.at,
        )
    )


def _left(records: Draft, act: Act, task: Task, name: str, output: OutputMade) -> None:
    if not output.blob or not output.key or output.performance:
        raise InvalidInput(f"OE0106: the output {name} of task {task.key} is a model, which is a blob with a key")
    if records.get(Model, output.key) is not None:
        raise Conflict(f"OE0006: there is a model {output.key} already")
    records.put(
        Model(
            key=output.key,
            task=task.key,
            output=name,
            owner=task.worker,
            blob=output.blob,
            size=output.size,
            permission=_kept(task, name),
            aggregate=task.outputs[name].aggregate,
            created_at=act.at,
        )
    )


def _kept(task: Task, output: str) -> Permission:
    left = task.outputs[output]
    return left.permission if left.private else left.permission.including(task.owner)


def task_failed(records: Draft, act: Act, event: TaskFailed) -> None:
    """The worker gives up; children keep their status and never run."""
    task = _worked(records, act, event.key)
    task = replace(task, error=event.error, log=event.log, reason=event.reason, policy=event.policy)
    move(records, act, task, "STATUS_FAILED")


def task_cancelled(records: Draft, act: Act, event: TaskCancelled) -> None:
    """The owner or the worker takes a task back."""
    task = need(records, Task, event.key)
    if act.author not in (task.owner, task.worker):
        raise Forbidden(f"OE0102: task {task.key} is {task.owner}'s and run by {task.worker}")
    move(records, act, task, "STATUS_CANCELED")


def made(records: Records, task: Task, output: str) -> Model | None:
    """The model that a task has left as this output, if it is there."""
    return next((each for each in records.find(Model, "task", task.key) if each.output == output), None)


def function_changed(records: Draft, act: Act, task: Task) -> None:
    """Bring a task that has not begun to where its function, approval and parents put it."""
    if task.status not in WAITING:
        return
    status, error = stands(records, task, need(records, Function, task.function))
    if status != task.status:
        move(records, act, replace(task, error=error), status)


def waits_for_approval(records: Draft, task: Task, function: Function) -> bool | None:
    """Whether the worker's word on the function's archive is missing; None when it was refused.

    An organization need not approve what it registered itself, but may refuse even that.
    """
    if function.key == SUM:
        return False
    word = records.get(Approval, f"{task.worker}|{function.archive}")
    if word is None:
        return task.worker != function.owner
    return False if word.approved else None


def stands(records: Draft, task: Task, function: Function) -> tuple[TaskStatus, str]:
    """Where a task that has not begun is, and the error if it has failed."""
    if function.status == "FUNCTION_STATUS_FAILED":
        return "STATUS_FAILED", "BUILD_ERROR"
    if function.status == "FUNCTION_STATUS_CANCELED":
        return "STATUS_CANCELED", ""
    missing = waits_for_approval(records, task, function)
    if missing is None:
        return "STATUS_FAILED", "EXECUTION_ERROR"
    if missing or function.status == "FUNCTION_STATUS_WAITING":
        return "STATUS_WAITING_FOR_BUILDER_SLOT", ""
    if function.status == "FUNCTION_STATUS_BUILDING":
        return "STATUS_BUILDING", ""
    return "STATUS_WAITING_FOR_PARENT_TASKS" if task.waiting else "STATUS_WAITING_FOR_EXECUTOR_SLOT", ""


def _worked(records: Draft, act: Act, key: str) -> Task:
    task = need(records, Task, key)
    if task.worker != act.author:
        raise Forbidden(f"OE0102: task {key} is run by {task.worker}, not by {act.author}")
    return task
