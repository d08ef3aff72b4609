"""Compute plans and their tasks: registration, and how statuses follow from events.

The rules are those of Substra's orchestrator (lib/service/computetask.go of its release 1.0.0).
"""

from __future__ import annotations

from msgspec.structs import replace

from comity.domain.events import (
    OutputsReleased,
    PlanCancelled,
    PlanRegistered,
    TaskAdded,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskInput,
    TaskStarted,
)
from comity.domain.membership import Act, member
from comity.domain.records import (
    Approval,
    Child,
    DataSample,
    Dataset,
    Draft,
    Function,
    Model,
    Organization,
    Performance,
    Plan,
    SampleOf,
    Task,
    need,
)
from comity.domain.states import ENDED, TASK, TaskStatus, plan_status
from comity.domain.words import Permission, union
from comity.values.errors import Conflict, Forbidden, InvalidInput


def plan_registered(records: Draft, act: Act, event: PlanRegistered) -> None:
    """A plan of the author's."""
    if records.get(Plan, event.key) is not None:
        raise Conflict(f"there is a plan {event.key} already")
    records.put(
        Plan(
            key=event.key,
            owner=act.author,
            name=event.name,
            tag_text=event.tag_text,
            metadata=event.metadata,
            creator=event.creator,
            created_at=act.at,
        )
    )


def plan_cancelled(records: Draft, act: Act, event: PlanCancelled) -> None:
    """The owner ends the plan; every task that has not ended is cancelled with it."""
    plan = _own_plan(records, event.key, act)
    status = plan_status(plan.counts, cancelled=bool(plan.cancelled_at))
    if status in ("PLAN_STATUS_CANCELED", "PLAN_STATUS_FAILED"):
        raise InvalidInput(f"OE0109: the plan {event.key} is {status} already")
    records.put(replace(plan, cancelled_at=act.at, ended_at=act.at))
    for task in list(records.find(Task, "plan", event.key)):
        if task.status not in ENDED:
            _move(records, act, task, "STATUS_CANCELED")


def task_added(records: Draft, act: Act, event: TaskAdded) -> None:
    """One more task of the author's plan; raises what of its inputs, outputs or rights does not fit."""
    if records.get(Task, event.key) is not None:
        raise Conflict(f"OE0006: there is a task {event.key} already")
    plan = _own_plan(records, event.plan, act)
    if plan.cancelled_at:
        raise InvalidInput(f"OE0109: the plan {event.plan} was cancelled")
    member(records, event.worker)
    function = need(records, Function, event.function)
    if not function.permission.allows(act.author, function.owner):
        raise Forbidden(f"OE0102: {act.author} may not use the function {event.function}")
    _check_outputs(records, event, function)
    dataset = _check_inputs(records, act, event, function)
    parents = [need(records, Task, key) for key in dict.fromkeys(each.parent for each in event.inputs if each.parent)]
    task = Task(
        key=event.key,
        plan=event.plan,
        function=event.function,
        owner=act.author,
        worker=event.worker,
        inputs=event.inputs,
        outputs=event.outputs,
        required=event.required,
        tag_text=event.tag_text,
        metadata=event.metadata,
        rank=1 + max((parent.rank for parent in parents), default=-1),
        logs_permission=_logs_permission(dataset, parents, act.author),
        status="STATUS_WAITING_FOR_BUILDER_SLOT",
        waiting=sum(parent.status != "STATUS_DONE" for parent in parents),
        created_at=act.at,
    )
    for parent in parents:
        records.put(Child(key=f"{parent.key}|{task.key}", parent=parent.key, child=task.key))
    dead = any(parent.required and parent.status in ("STATUS_FAILED", "STATUS_CANCELED") for parent in parents)
    status = "STATUS_CANCELED" if dead else _stands(records, task, function)
    ended = act.at if status in ENDED else 0
    error = "EXECUTION_ERROR" if status == "STATUS_FAILED" else ""
    records.put(replace(task, status=status, ended_at=ended, error=error))
    _count(records, act, task, None, status)


def task_started(records: Draft, act: Act, event: TaskStarted) -> None:
    """The worker begins an attempt; a later attempt begins when one was lost without a commit."""
    task = _worked(records, act, event.key)
    plan = need(records, Plan, task.plan)
    if plan.cancelled_at:
        raise InvalidInput(f"OE0109: the plan {plan.key} was cancelled")
    if event.attempt != task.attempt + 1:
        raise Conflict(f"attempt {event.attempt} of task {task.key} does not follow attempt {task.attempt}")
    task = replace(task, attempt=event.attempt, sandbox=event.sandbox, started_at=task.started_at or act.at)
    _move(records, act, task, "STATUS_EXECUTING")


def task_done(records: Draft, act: Act, event: TaskDone) -> None:
    """The worker has committed every output; its children may have become ready."""
    task = _worked(records, act, event.key)
    function = need(records, Function, task.function)
    if event.outputs.keys() != task.outputs.keys():
        raise InvalidInput(f"OE0106: task {task.key} must leave {sorted(task.outputs)}, not {sorted(event.outputs)}")
    for name, made in event.outputs.items():
        if function.outputs[name].kind == "ASSET_PERFORMANCE":
            if not made.performance or made.blob:
                raise InvalidInput(f"the output {name} of task {task.key} is a performance, which is a number")
            records.put(
                Performance(
                    key=f"{task.key}|{name}",
                    task=task.key,
                    plan=task.plan,
                    output=name,
                    value=made.performance,
                    created_at=act.at,
                )
            )
            continue
        if not made.blob or not made.key or made.performance:
            raise InvalidInput(f"the output {name} of task {task.key} is a model, which is a blob with a key")
        if records.get(Model, made.key) is not None:
            raise Conflict(f"there is a model {made.key} already")
        records.put(
            Model(
                key=made.key,
                task=task.key,
                output=name,
                owner=task.worker,
                blob=made.blob,
                size=made.size,
                permission=_with_owner(task.outputs[name].permission, task.worker),
                created_at=act.at,
            )
        )
    _move(records, act, replace(task, durations=event.durations), "STATUS_DONE")
    for child in list(records.find(Child, "parent", task.key)):
        waiting = need(records, Task, child.child)
        records.put(replace(waiting, waiting=waiting.waiting - 1))
        function_changed(records, act, need(records, Task, child.child))


def task_failed(records: Draft, act: Act, event: TaskFailed) -> None:
    """The worker gives up; children keep their status and never run."""
    task = _worked(records, act, event.key)
    _move(records, act, replace(task, error=event.error, log=event.log), "STATUS_FAILED")


def task_cancelled(records: Draft, act: Act, event: TaskCancelled) -> None:
    """The owner or the worker takes a task back."""
    task = need(records, Task, event.key)
    if act.author not in (task.owner, task.worker):
        raise Forbidden(f"OE0102: task {task.key} is {task.owner}'s and run by {task.worker}")
    _move(records, act, task, "STATUS_CANCELED")


def outputs_released(records: Draft, act: Act, event: OutputsReleased) -> None:
    """The author deleted transient models once nobody needed them."""
    for key in event.models:
        model = need(records, Model, key)
        task = need(records, Task, model.task)
        if model.owner != act.author:
            raise Forbidden(f"OE0102: the model {key} belongs to {model.owner}")
        if not releasable(records, task, model.output):
            raise InvalidInput(f"OE0105: the model {key} is not transient, or a task still needs it")
        records.put(replace(model, blob=""))


def releasable(records: Draft, task: Task, output: str) -> bool:
    """Whether an output is transient, and its task and all that wait for it have ended."""
    if not task.outputs[output].transient or task.status not in ENDED:
        return False
    children = [need(records, Task, each.child) for each in records.find(Child, "parent", task.key)]
    return bool(children) and all(child.status in ENDED for child in children)


def function_changed(records: Draft, act: Act, task: Task) -> None:
    """Bring a task that has not begun to where its function, approval and parents put it."""
    if task.status in ENDED or task.status == "STATUS_EXECUTING":
        return
    status = _stands(records, task, need(records, Function, task.function))
    if status != task.status:
        error = "" if status != "STATUS_FAILED" else _error_of(records, task)
        _move(records, act, replace(task, error=error), status)


def waits_for_approval(records: Draft, task: Task, function: Function) -> bool | None:
    """Whether the worker's word on the function's archive is missing; None when it was refused."""
    if task.worker == function.owner:
        return False
    word = records.get(Approval, f"{task.worker}|{function.archive}")
    if word is None:
        return True
    return False if word.approved else None


def _stands(records: Draft, task: Task, function: Function) -> TaskStatus:
    match function.status:
        case "FUNCTION_STATUS_FAILED":
            return "STATUS_FAILED"
        case "FUNCTION_STATUS_CANCELED":
            return "STATUS_CANCELED"
        case "FUNCTION_STATUS_BUILDING":
            return "STATUS_BUILDING"
        case "FUNCTION_STATUS_WAITING":
            return "STATUS_WAITING_FOR_BUILDER_SLOT"
        case "FUNCTION_STATUS_READY":
            missing = waits_for_approval(records, task, function)
            if missing is None:
                return "STATUS_FAILED"
            if missing:
                return "STATUS_WAITING_FOR_BUILDER_SLOT"
            return "STATUS_WAITING_FOR_PARENT_TASKS" if task.waiting else "STATUS_WAITING_FOR_EXECUTOR_SLOT"


def _error_of(records: Draft, task: Task) -> str:
    failed = need(records, Function, task.function).status == "FUNCTION_STATUS_FAILED"
    return "BUILD_ERROR" if failed else "EXECUTION_ERROR"


def _move(records: Draft, act: Act, task: Task, to: TaskStatus) -> None:
    """Give the task another status, and keep its plan's counts."""
    if to not in TASK[task.status]:
        raise Conflict(f"OE0104: task {task.key} is {task.status} and cannot become {to}")
    records.put(replace(task, status=to, ended_at=act.at if to in ENDED else 0))
    _count(records, act, task, task.status, to)


def _count(records: Draft, act: Act, task: Task, before: TaskStatus | None, after: TaskStatus) -> None:
    if not task.required or before == after:
        return
    plan = need(records, Plan, task.plan)
    counts = dict(plan.counts)
    if before is not None:
        counts[before] -= 1
        if not counts[before]:
            del counts[before]
    counts[after] = counts.get(after, 0) + 1
    status = plan_status(counts, cancelled=bool(plan.cancelled_at))
    over = status in ("PLAN_STATUS_DONE", "PLAN_STATUS_FAILED", "PLAN_STATUS_CANCELED")
    failed = plan.failed_task or (task.key if after == "STATUS_FAILED" else "")
    records.put(
        replace(
            plan,
            counts=counts,
            started_at=plan.started_at or (act.at if status != "PLAN_STATUS_CREATED" else 0),
            ended_at=(plan.ended_at or act.at) if over else 0,
            failed_task=failed,
        )
    )


def _own_plan(records: Draft, key: str, act: Act) -> Plan:
    plan = need(records, Plan, key)
    if plan.owner != act.author:
        raise Forbidden(f"OE0102: the plan {key} belongs to {plan.owner}; {act.author} may not change it")
    return plan


def _worked(records: Draft, act: Act, key: str) -> Task:
    task = need(records, Task, key)
    if task.worker != act.author:
        raise Forbidden(f"OE0102: task {key} is run by {task.worker}, not by {act.author}")
    return task


def _check_outputs(records: Draft, event: TaskAdded, function: Function) -> None:
    if event.outputs.keys() != function.outputs.keys():
        raise InvalidInput(
            f"OE0101: task {event.key} must name the outputs {sorted(function.outputs)}, not {sorted(event.outputs)}"
        )
    for name, output in event.outputs.items():
        if function.outputs[name].kind == "ASSET_PERFORMANCE" and (not output.permission.public or output.transient):
            raise InvalidInput(f"OE0101: the performance {name} must be public and not transient")
        for organization in output.permission.authorized:
            if records.get(Organization, organization) is None:
                raise InvalidInput(f"invalid permission input values: there is no organization {organization}")


def _check_inputs(records: Draft, act: Act, event: TaskAdded, function: Function) -> Dataset | None:
    given: dict[str, list[TaskInput]] = {}
    for each in event.inputs:
        if each.identifier not in function.inputs:
            raise InvalidInput(f"OE0101: the function has no input {each.identifier!r}")
        if bool(each.asset) == bool(each.parent) or bool(each.parent) != bool(each.output):
            raise InvalidInput(
                f"OE0101: the input {each.identifier} needs either an asset, or a parent task and its output"
            )
        given.setdefault(each.identifier, []).append(each)
    dataset: Dataset | None = None
    for name, declared in function.inputs.items():
        refs = given.get(name, [])
        if not refs and not declared.optional:
            raise InvalidInput(f"OE0101: the input {name} is missing")
        if len(refs) > 1 and not declared.multiple:
            raise InvalidInput(f"OE0101: the input {name} takes one asset, not {len(refs)}")
        if declared.kind == "ASSET_DATA_MANAGER":
            dataset = _check_dataset(records, act, event, refs[0])
        elif declared.kind == "ASSET_MODEL":
            for ref in refs:
                _check_model(records, event, ref)
    for name, declared in function.inputs.items():
        if declared.kind == "ASSET_DATA_SAMPLE":
            _check_samples(records, given.get(name, []), dataset)
    return dataset


def _check_dataset(records: Draft, act: Act, event: TaskAdded, ref: TaskInput) -> Dataset:
    if not ref.asset:
        raise InvalidInput(f"OE0101: the input {ref.identifier} is a dataset, not an output of a task")
    dataset = need(records, Dataset, ref.asset)
    if not dataset.permission.allows(act.author, dataset.owner):
        raise Forbidden(f"OE0102: {act.author} may not use the dataset {dataset.key}")
    if event.worker != dataset.owner:
        raise InvalidInput(f"OE0101: the dataset {dataset.key} is at {dataset.owner}, so {event.worker} cannot work")
    if dataset.withdrawn_at:
        raise Forbidden(f"OE0102: {dataset.owner} has withdrawn the dataset {dataset.key}")
    return dataset


def _check_samples(records: Draft, refs: list[TaskInput], dataset: Dataset | None) -> None:
    for ref in refs:
        if not ref.asset or dataset is None:
            raise InvalidInput(f"OE0101: the input {ref.identifier} is a data sample, not an output of a task")
        need(records, DataSample, ref.asset)
        if records.get(SampleOf, f"{dataset.key}|{ref.asset}") is None:
            raise InvalidInput(f"OE0101: the data sample {ref.asset} is not of the dataset {dataset.key}")


def _check_model(records: Draft, event: TaskAdded, ref: TaskInput) -> None:
    if ref.asset:
        model = need(records, Model, ref.asset)
        permission, owner, blob = model.permission, model.owner, model.blob
    else:
        parent = need(records, Task, ref.parent)
        function = need(records, Function, parent.function)
        if ref.output not in function.outputs:
            raise InvalidInput(f"OE0101: task {parent.key} has no output {ref.output!r}")
        if function.outputs[ref.output].kind != "ASSET_MODEL":
            raise InvalidInput(f"OE0107: the output {ref.output} of task {parent.key} is no model")
        permission, owner, blob = parent.outputs[ref.output].permission, parent.worker, "to come"
        if parent.status == "STATUS_DONE":
            made = [each for each in records.find(Model, "task", parent.key) if each.output == ref.output]
            blob = made[0].blob if made else ""
        permission = _with_owner(permission, parent.owner)
    if not blob:
        raise InvalidInput(f"OE0101: the model at the input {ref.identifier} has been disabled")
    if not permission.allows(event.worker, owner):
        raise Forbidden(f"OE0102: {event.worker} may not process the model at the input {ref.identifier}")


def _with_owner(permission: Permission, owner: str) -> Permission:
    if owner in permission.authorized:
        return permission
    return Permission(public=permission.public, authorized=tuple(sorted((*permission.authorized, owner))))


def _logs_permission(dataset: Dataset | None, parents: list[Task], owner: str) -> Permission:
    if dataset is not None:
        return _with_owner(dataset.logs_permission, dataset.owner)
    return union([_with_owner(Permission(), owner), *(parent.logs_permission for parent in parents)])
