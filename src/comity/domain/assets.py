"""Datasets, their samples, and functions."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from msgspec.structs import replace

from comity.domain.events import (
    DatasetRegistered,
    DatasetWithdrawn,
    FunctionApproved,
    FunctionBuilding,
    FunctionCancelled,
    FunctionFailed,
    FunctionReady,
    FunctionRefused,
    FunctionRegistered,
    Renamed,
    SamplesLinked,
    SamplesRegistered,
)
from comity.domain.membership import Act
from comity.domain.records import (
    Approval,
    DataSample,
    Dataset,
    Draft,
    Function,
    Organization,
    Plan,
    Record,
    SampleOf,
    Task,
    need,
)
from comity.domain.states import FUNCTION, FunctionStatus
from comity.domain.tasks import function_changed
from comity.domain.words import Permission
from comity.values.errors import Conflict, Forbidden, InvalidInput

Owned = TypeVar("Owned", Dataset, DataSample, Function, Plan)

Build: TypeAlias = FunctionBuilding | FunctionReady | FunctionFailed | FunctionCancelled

BUILDS: dict[type[Build], FunctionStatus] = {
    FunctionBuilding: "FUNCTION_STATUS_BUILDING",
    FunctionReady: "FUNCTION_STATUS_READY",
    FunctionFailed: "FUNCTION_STATUS_FAILED",
    FunctionCancelled: "FUNCTION_STATUS_CANCELED",
}


def dataset_registered(records: Draft, act: Act, event: DatasetRegistered) -> None:
    """A dataset of the author's."""
    _check_new(records, Dataset, event.key)
    _check_permission(records, event.permission)
    _check_permission(records, event.logs_permission)
    records.put(
        Dataset(
            key=event.key,
            owner=act.author,
            name=event.name,
            opener=event.opener,
            description=event.description,
            permission=event.permission,
            logs_permission=event.logs_permission,
            metadata=event.metadata,
            created_at=act.at,
        )
    )


def samples_registered(records: Draft, act: Act, event: SamplesRegistered) -> None:
    """Samples of the author's datasets."""
    for dataset in event.datasets:
        _own(records, Dataset, dataset, act)
    for sample in event.samples:
        _check_new(records, DataSample, sample.key)
        records.put(DataSample(key=sample.key, owner=act.author, manifest=sample.manifest, created_at=act.at))
        for dataset in event.datasets:
            records.put(SampleOf(key=f"{dataset}|{sample.key}", dataset=dataset, sample=sample.key))


def samples_linked(records: Draft, act: Act, event: SamplesLinked) -> None:
    """Samples that are there already come to further datasets of the same owner."""
    for dataset in event.datasets:
        _own(records, Dataset, dataset, act)
        for sample in event.samples:
            _own(records, DataSample, sample, act)
            records.put(SampleOf(key=f"{dataset}|{sample}", dataset=dataset, sample=sample))


def dataset_withdrawn(records: Draft, act: Act, event: DatasetWithdrawn) -> None:
    """No new task may use it."""
    found = _own(records, Dataset, event.key, act)
    if found.withdrawn_at:
        raise Conflict(f"the dataset {event.key} was withdrawn before")
    records.put(replace(found, withdrawn_at=act.at))


def renamed(records: Draft, act: Act, event: Renamed) -> None:
    """The owner gives another name."""
    match event.kind:
        case "dataset":
            records.put(replace(_own(records, Dataset, event.key, act), name=event.name))
        case "function":
            records.put(replace(_own(records, Function, event.key, act), name=event.name))
        case "plan":
            records.put(replace(_own(records, Plan, event.key, act), name=event.name))


def function_registered(records: Draft, act: Act, event: FunctionRegistered) -> None:
    """A function of the author's; it is to be built, and to be approved wherever it is to run."""
    _check_new(records, Function, event.key)
    _check_permission(records, event.permission)
    _check_inputs(event)
    records.put(
        Function(
            key=event.key,
            owner=act.author,
            name=event.name,
            archive=event.archive,
            description=event.description,
            inputs=event.inputs,
            outputs=event.outputs,
            permission=event.permission,
            metadata=event.metadata,
            created_at=act.at,
        )
    )


def function_built(records: Draft, act: Act, event: Build) -> None:
    """A step of the owner's build; the tasks of the function follow."""
    found, to = _own(records, Function, event.key, act), BUILDS[type(event)]
    if isinstance(event, FunctionBuilding):
        found = replace(found, building_at=act.at)
    if isinstance(event, FunctionReady):
        found = replace(found, ready_at=act.at, durations=event.durations, locked=event.locked)
    build(records, act, found, to)


def build(records: Draft, act: Act, function: Function, to: FunctionStatus) -> None:
    """Give the function another status and let its tasks follow; raises Conflict where the table has no such step."""
    if to not in FUNCTION[function.status]:
        raise Conflict(f"the function {function.key} is {function.status} and cannot become {to}")
    records.put(replace(function, status=to))
    for task in records.find(Task, "waits_on", function.key):
        function_changed(records, act, need(records, Task, task.key))


def function_judged(records: Draft, act: Act, event: FunctionApproved | FunctionRefused) -> None:
    """The author's word on an archive, which later may be another."""
    approved = isinstance(event, FunctionApproved)
    records.put(
        Approval(
            key=f"{act.author}|{event.archive}",
            organization=act.author,
            archive=event.archive,
            approved=approved,
            by=event.by,
            reason="" if isinstance(event, FunctionApproved) else event.reason,
            at=act.at,
        )
    )
    for function in records.find(Function, "archive", event.archive):
        for task in records.find(Task, "waits_on", function.key):
            if task.worker == act.author:
                function_changed(records, act, need(records, Task, task.key))


def _check_new(records: Draft, kind: type[Record], key: str) -> None:
    if records.get(kind, key) is not None:
        raise Conflict(f"there is a {kind.__name__.lower()} {key} already")


def _check_permission(records: Draft, permission: Permission) -> None:
    unknown = [name for name in permission.authorized if records.get(Organization, name) is None]
    if unknown:
        raise InvalidInput(f"invalid permission input values: there is no organization {', '.join(unknown)}")


def _own(records: Draft, kind: type[Owned], key: str, act: Act) -> Owned:
    found = need(records, kind, key)
    if found.owner != act.author:
        raise Forbidden(f"the {kind.__name__.lower()} {key} belongs to {found.owner}, not to {act.author}")
    return found


def _check_inputs(event: FunctionRegistered) -> None:
    managers = [each for each in event.inputs.values() if each.kind == "ASSET_DATA_MANAGER"]
    samples = [each for each in event.inputs.values() if each.kind == "ASSET_DATA_SAMPLE"]
    if len(managers) > 1 or any(each.multiple or each.optional for each in managers):
        raise InvalidInput("a function takes at most one dataset, never several and never optional")
    if bool(managers) != bool(samples):
        raise InvalidInput("a function that takes a dataset takes data samples too, and the other way round")
    for name, output in event.outputs.items():
        if output.kind == "ASSET_PERFORMANCE" and output.multiple:
            raise InvalidInput(f"the performance {name} cannot be multiple")
