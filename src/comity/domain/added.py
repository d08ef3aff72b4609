"""Registration of tasks: what fits a plan, and where a task begins.

The rules are those of Substra's orchestrator (lib/service/computetask.go of its release 1.0.0). A sum, which no
steward approves of, takes more care: it adds parts of its own plan, or what the plan's owner may have by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from comity.domain.events import Aggregate, TaskAdded, TaskInput
from comity.domain.membership import Act
from comity.domain.plans import count, own_plan, placed
from comity.domain.records import DataSample, Dataset, Draft, Function, Model, Organization, Plan, SampleOf, Task, need
from comity.domain.releasing import took
from comity.domain.sums import SUM
from comity.domain.tasks import made, stands, waits
from comity.domain.words import Permission, union
from comity.values.errors import Conflict, Forbidden, InvalidInput

TAKEN = frozenset({("memory", "local"), ("memory", "evaluate"), ("total", "step"), ("total", "finish")})
"""Inputs, by stage, that may take what an organization keeps to itself."""


def task_added(records: Draft, act: Act, event: TaskAdded) -> None:
    """One more task of the author's plan; raises what of its inputs, outputs or rights does not fit."""
    if records.get(Task, event.key) is not None:
        raise Conflict(f"OE0006: there is a task {event.key} already")
    plan = own_plan(records, event.plan, act)
    if plan.cancelled_at:
        raise InvalidInput(f"OE0109: the plan {event.plan} was cancelled")
    worker = records.get(Organization, event.worker)
    if worker is None or (worker.status != "member" and not _is_part(event)):
        raise InvalidInput(f"OE0101: the worker {event.worker} is not a member of this channel")
    function = need(records, Function, event.function)
    if not function.permission.allows(act.author, function.owner):
        raise Forbidden(f"OE0102: {act.author} may not use the function {event.function}")
    _check_outputs(records, event, function)
    _check_stage(plan, event, function)
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
        created_at=act.at,
        stage=event.stage,
        round=event.round,
        gathers=event.gathers,
    )
    task = replace(task, waiting=waits(records, task))
    dead = any(parent.required and parent.status in ("STATUS_FAILED", "STATUS_CANCELED") for parent in parents)
    # Rounds go on without a site that has left, or withdrawn its data: what it would have done has failed.
    gone = _is_part(event) and (worker.status != "member" or (dataset is not None and dataset.withdrawn_at > 0))
    status, error = stands(records, task, function)
    if dead or gone:
        status, error = ("STATUS_CANCELED", "") if dead else ("STATUS_FAILED", "INTERNAL_ERROR")
    task = placed(replace(task, error=error), status, act.at)
    records.put(task)
    for parent in parents:
        took(records, parent.key, task)
    for each in event.inputs:
        if model := records.get(Model, each.asset):
            # It waits for nothing, but what it takes may not be released before it has ended.
            took(records, model.task, task)
    count(records, act, task, None, status)


def _is_part(event: TaskAdded) -> bool:
    """Whether it is a site's part in a round."""
    return event.stage in ("local", "evaluate") and not event.required


def _check_stage(plan: Plan, event: TaskAdded, function: Function) -> None:
    if plan.complete and plan.growth is not None:
        raise InvalidInput(f"OE0109: the plan {plan.key} has all its tasks")
    if (event.stage or event.round or event.gathers) and plan.growth is None:
        raise InvalidInput(f"OE0101: the plan {plan.key} has no rounds; leave stage, round and gathers out")
    if event.stage == "local" and event.round > plan.rounds_added + 1:
        raise InvalidInput(f"OE0101: round {event.round} does not follow round {plan.rounds_added}")
    if event.gathers:
        parts = function.inputs.get("parts")
        if event.stage not in ("sum", "scores", "step") or parts is None or parts.kind != "ASSET_MODEL":
            raise InvalidInput(f"OE0101: task {event.key} is none that gathers parts of a round")


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
            known = ", ".join(sorted(function.inputs)) or "none"
            raise InvalidInput(f"OE0101: the function has no input {each.identifier!r}; it has {known}")
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
                check_model(records, event, function, ref)
    if function.key == SUM and not event.gathers:
        check_least([_source(records, ref) for ref in event.inputs])
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
    if dataset.withdrawn_at and not _is_part(event):
        raise Forbidden(f"OE0102: {dataset.owner} has withdrawn the dataset {dataset.key}")
    return dataset


def _check_samples(records: Draft, refs: list[TaskInput], dataset: Dataset | None) -> None:
    for ref in refs:
        if not ref.asset or dataset is None:
            raise InvalidInput(f"OE0101: the input {ref.identifier} is a data sample, not an output of a task")
        need(records, DataSample, ref.asset)
        if records.get(SampleOf, f"{dataset.key}|{ref.asset}") is None:
            raise InvalidInput(f"OE0101: the data sample {ref.asset} is not of the dataset {dataset.key}")


def check_model(records: Draft, task: TaskAdded | Task, function: Function, ref: TaskInput) -> None:
    """Raise unless the task may take this model, or output of a parent, at an input of its function."""
    multiple = function.inputs[ref.identifier].multiple
    if ref.asset:
        model = need(records, Model, ref.asset)
        permission, owners, released = model.permission, (model.owner,), not model.blob
        maker = need(records, Task, model.task)
        aggregate, plan, left_private = model.aggregate, maker.plan, maker.outputs[model.output].private
    else:
        parent = records.get(Task, ref.parent)
        if parent is None:
            raise InvalidInput(
                f"OE0101: cyclic dependency in compute plan graph or unknown task parent: {ref.parent} of {task.key}"
            )
        declared = need(records, Function, parent.function).outputs.get(ref.output)
        if declared is None:
            raise InvalidInput(f"OE0101: task {parent.key} has no output {ref.output!r}")
        if declared.kind != "ASSET_MODEL":
            raise InvalidInput(f"OE0107: the output {ref.output} of task {parent.key} is no model")
        if declared.multiple and not multiple:
            raise InvalidInput(
                f"OE0101: the input {ref.identifier} takes one asset, the output {ref.output} is several"
            )
        left = parent.outputs[ref.output]
        # The owner of a task may process what it leaves, as `task_done` has it.
        owners = (parent.worker,) if left.private else (parent.worker, parent.owner)
        permission, aggregate, plan, left_private = left.permission, left.aggregate, parent.plan, left.private
        model = made(records, parent, ref.output) if parent.status == "STATUS_DONE" else None
        released = model is not None and not model.blob
    if released:
        raise InvalidInput(f"OE0101: the model at the input {ref.identifier} has been disabled")
    if aggregate is not None and aggregate.protocol != "clear" and not (function.key == SUM and task.gathers):
        raise Forbidden(
            f"OE0102: what the input {ref.identifier} of task {task.key} takes goes into a masked sum, and nowhere else"
        )
    if _is_held_back(left_private, permission) and not _may_take(task, function, ref):
        raise Forbidden(
            f"OE0102: what the input {ref.identifier} of task {task.key} takes stays where it was made, for its rounds"
        )
    if function.key == SUM:
        if plan == task.plan and aggregate is not None and task.worker in aggregate.organizations:
            return
        asks = need(records, Plan, task.plan).owner
        if plan != task.plan and not any(permission.allows(asks, owner) for owner in owners):
            raise Forbidden(f"OE0102: {asks} may not process the model at the input {ref.identifier}")
    if not any(permission.allows(task.worker, owner) for owner in owners):
        raise Forbidden(f"OE0102: {task.worker} may not process the model at the input {ref.identifier}")


def _is_held_back(private: bool, permission: Permission) -> bool:
    """Whether an output is nobody's but the organization's that made it."""
    return private and permission == Permission()


def _may_take(task: TaskAdded | Task, function: Function, ref: TaskInput) -> bool:
    """Whether it is what such outputs are for: a sum of parts, its total, or what a site remembers.

    Whoever asks for a task could have it publish anything else that it takes of its worker's own.
    """
    return function.key == SUM or (ref.identifier, task.stage) in TAKEN


def check_least(parts: Sequence[tuple[str, Aggregate | None]]) -> None:
    """Raise unless parts, each given as whose it is and who may add it, are as many as each of them asks for."""
    owners = {owner for owner, _ in parts}
    for owner, aggregate in parts:
        if aggregate is not None and len(owners) < aggregate.least:
            raise InvalidInput(
                f"{owner} lets its part be added to those of {aggregate.least - 1} others at least, "
                f"not of {len(owners) - 1}"
            )


def _source(records: Draft, ref: TaskInput) -> tuple[str, Aggregate | None]:
    """(whose a model or output is, who may add it)."""
    if ref.asset:
        model = need(records, Model, ref.asset)
        return model.owner, model.aggregate
    parent = need(records, Task, ref.parent)
    return parent.worker, parent.outputs[ref.output].aggregate


def _logs_permission(dataset: Dataset | None, parents: list[Task], owner: str) -> Permission:
    if dataset is not None:
        return dataset.logs_permission.including(dataset.owner)
    return union([Permission(authorized=(owner,)), *(parent.logs_permission for parent in parents)])
