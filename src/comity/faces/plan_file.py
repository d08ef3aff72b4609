"""Plans as people write them: tasks that know each other by name.

    name = "one round"

    [tasks.left]
    function = "train"
    data = "left"

    [tasks.right]
    function = "train"
    data = "right"

    [tasks.mean]
    function = "average"
    worker = "org1"
    inputs.models = ["left.model", "right.model"]
    outputs.model = ["org2"]

A task with `data`, a dataset, runs where that is, on all its samples or those in `samples`; another names its
`worker`. An input is an output of another task, `TASK.OUTPUT`, or a model's key, or a list of those. An output goes to
the organizations whose tasks take it, and to those listed in `outputs`; "public" is everyone. Functions and datasets
are named by key or by name.
"""

from __future__ import annotations

import json
import tomllib
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, final

import msgspec

from comity.values.errors import DecodeError, InvalidInput, unknown

PUBLIC = {"public": True, "authorized_ids": []}


@final
class TaskText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task."""

    function: str
    worker: str = ""
    data: str = ""
    samples: tuple[str, ...] = ()
    inputs: dict[str, str | tuple[str, ...]] = {}
    outputs: dict[str, tuple[str, ...] | Literal["public"]] = {}
    transient: tuple[str, ...] = ()
    """Outputs that are deleted once nothing needs them."""
    metadata: dict[str, str] = {}


@final
class PlanText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan."""

    name: str
    tasks: dict[str, TaskText]
    tag: str = ""
    metadata: dict[str, str] = {}


def read(path: Path) -> PlanText:
    """The plan in a file of TOML or JSON; raises DecodeError."""
    try:
        text = path.read_bytes().decode()
        return msgspec.convert(tomllib.loads(text) if path.suffix == ".toml" else json.loads(text), PlanText)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"{path} cannot be read as a plan: {error}") from error


Found = Callable[[str, str], Mapping[str, Any]]
"""The function or data_manager of a key or name, as REST shows it."""


def tasks(plan: PlanText, key: str, found: Found) -> list[dict[str, Any]]:
    """The tasks as REST takes them; raises InvalidInput for a name that leads nowhere."""
    keys = {name: str(uuid.uuid4()) for name in plan.tasks}
    functions = {name: found("function", task.function) for name, task in plan.tasks.items()}
    datasets = {name: found("data_manager", task.data) for name, task in plan.tasks.items() if task.data}
    workers = {name: datasets[name]["owner"] if task.data else task.worker for name, task in plan.tasks.items()}
    takers = _takers(plan, workers)
    made: list[dict[str, Any]] = []
    for name, task in plan.tasks.items():
        if task.worker not in ("", workers[name]):
            raise InvalidInput(f"task {name} uses data at {workers[name]}, so {task.worker} cannot be its worker")
        if not workers[name]:
            raise InvalidInput(f"task {name} has no data; name its worker")
        function = functions[name]
        _check(name, task, function)
        made.append(
            {
                "key": keys[name],
                "compute_plan_key": key,
                "function_key": function["key"],
                "worker": workers[name],
                "tag": name,
                "metadata": task.metadata,
                "inputs": [*_data(task, function, datasets.get(name)), *_inputs(name, task, keys)],
                "outputs": {
                    output: {
                        "permissions": _permissions(declared, task.outputs.get(output, ()), takers.get((name, output))),
                        "transient": output in task.transient,
                    }
                    for output, declared in function["outputs"].items()
                },
            }
        )
    return made


def _takers(plan: PlanText, workers: Mapping[str, str]) -> dict[tuple[str, str], set[str]]:
    """Who needs an output, by task and output."""
    made: dict[tuple[str, str], set[str]] = {}
    for name, task in plan.tasks.items():
        for given in task.inputs.values():
            for each in _each(given):
                parent, _, output = each.rpartition(".")
                made.setdefault((parent, output), set()).add(workers[name])
    return made


def _check(name: str, task: TaskText, function: Mapping[str, Any]) -> None:
    for each in task.inputs:
        if each not in function["inputs"]:
            raise unknown(f"input of task {name}", each, function["inputs"])
    for each in (*task.outputs, *task.transient):
        if each not in function["outputs"]:
            raise unknown(f"output of task {name}", each, function["outputs"])


def _data(task: TaskText, function: Mapping[str, Any], dataset: Mapping[str, Any] | None) -> list[dict[str, str]]:
    if dataset is None:
        return []
    assets = {"ASSET_DATA_MANAGER": [dataset["key"]], "ASSET_DATA_SAMPLE": task.samples or dataset["data_sample_keys"]}
    return [
        {"identifier": identifier, "asset_key": key}
        for identifier, declared in function["inputs"].items()
        for key in assets.get(declared["kind"], ())
    ]


def _inputs(name: str, task: TaskText, keys: Mapping[str, str]) -> list[dict[str, str]]:
    made: list[dict[str, str]] = []
    for identifier, given in task.inputs.items():
        for each in _each(given):
            parent, dot, output = each.rpartition(".")
            if not dot:
                made.append({"identifier": identifier, "asset_key": each})
                continue
            if parent not in keys:
                raise unknown("task", parent, keys)
            made.append(
                {
                    "identifier": identifier,
                    "parent_task_key": keys[parent],
                    "parent_task_output_identifier": output,
                }
            )
    return made


def _permissions(declared: Mapping[str, Any], given: object, takers: set[str] | None) -> dict[str, Any]:
    """A performance is everyone's to see; Substra knows no other."""
    if given == "public" or declared["kind"] == "ASSET_PERFORMANCE":
        return PUBLIC
    listed = given if isinstance(given, tuple) else ()
    return {"public": False, "authorized_ids": sorted({*listed, *(takers or ())})}


def _each(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given
