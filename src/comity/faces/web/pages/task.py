"""One task: what went in and came out, how long each step took, and why it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from starlette.responses import Response

from comity.domain.records import Model, Plan, Task, need
from comity.domain.states import ENDED
from comity.faces.web.errors_in_logs import trouble
from comity.faces.web.visit import Visit
from comity.node.fetching import fetch_log
from comity.node.logs import whereabouts
from comity.node.rest import tasks
from comity.node.rest.profiling import of_task
from comity.node.rest.render import View
from comity.values.errors import ComityError


@final
@dataclass(frozen=True)
class Given:
    """An input, and what it leads to; without a target where it is not there yet."""

    identifier: str
    kind: str
    said: str
    target: str


@final
@dataclass(frozen=True)
class Left:
    """An output: what it is by now, and who may have it."""

    identifier: str
    said: str
    target: str
    file: str
    permissions: Any
    transient: bool
    private: bool


async def show(visit: Visit) -> Response:
    """The task; the end of its log with it, where that lies at this node."""
    key = visit.call.key

    def where(view: View) -> tuple[bool, str, str]:
        task = need(view.records, Task, key)
        if task.status != "STATUS_FAILED":
            return False, "", ""
        try:
            return True, whereabouts(view.log, view.organization, key).owner, ""
        except ComityError as error:
            return True, "", str(error)

    failed, owner, why_not = await visit.call.read(where)
    log, note = "", why_not
    if failed and (not owner or owner == visit.call.part.following.organization):
        log, note = await _log(visit, key)

    def work(view: View) -> Mapping[str, Any]:
        task = need(view.records, Task, key)
        plan = view.records.get(Plan, task.plan)
        profile = of_task(view, task)
        return {
            "task": view.task(task),
            "sandbox": task.sandbox,
            "attempt": task.attempt,
            "plan_name": view.text(plan.name) if plan else "",
            "inputs": _inputs(view, task),
            "outputs": _outputs(view, task),
            "steps": profile["execution_rundown"],
            "whole": (profile["task_duration"] or 0) / 1e6,
            "log": log,
            "trouble": trouble(log),
            "log_note": note,
            "log_elsewhere": owner if owner != view.organization else "",
        }

    return await visit.show("task.html", work)


async def log(visit: Visit) -> Response:
    """The log of a task or a build, brought from where it lies."""
    return await tasks.logs(visit.call)


async def _log(visit: Visit, key: str) -> tuple[str, str]:
    try:
        return (await fetch_log(visit.call.part, key)).decode(errors="replace"), ""
    except ComityError as error:
        return "", str(error)


def _inputs(view: View, task: Task) -> list[Given]:
    shown = {each["identifier"]: list[Any]() for each in tasks.inputs(view, task)}
    for each in tasks.inputs(view, task):
        shown[each["identifier"]].append(each)
    made: list[Given] = []
    for given in task.inputs:
        found = shown.get(given.identifier, [])
        asset = found.pop(0) if given.asset and found else None
        kind = asset["kind"] if asset else "ASSET_MODEL"
        if given.parent:
            parent = need(view.records, Task, given.parent)
            made.append(
                Given(given.identifier, kind, f"{given.output} of {_called(view, parent)}", f"/tasks/{parent.key}")
            )
        elif kind == "ASSET_DATA_MANAGER" and asset:
            made.append(Given(given.identifier, kind, asset["asset"]["name"], f"/datasets/{given.asset}"))
        elif kind == "ASSET_DATA_SAMPLE":
            made.append(Given(given.identifier, kind, given.asset, ""))
        else:
            model = view.records.get(Model, given.asset)
            made.append(Given(given.identifier, kind, given.asset, f"/tasks/{model.task}" if model else ""))
    return made


def _called(view: View, task: Task) -> str:
    if task.stage:
        return f"{task.stage} {task.round}, {task.worker}"
    return f"{view.task(task)['function']['name']}, {task.worker}"


def _missing(task: Task) -> str:
    """What is said of an output that is not there."""
    if task.status in ENDED:
        return "" if task.status == "STATUS_DONE" else "none: the task did not come to its end"
    return "not there yet"


def _outputs(view: View, task: Task) -> list[Left]:
    found = {each["identifier"]: each for each in tasks.outputs(view, task)}
    shown = view.task(task)
    made: list[Left] = []
    for name, output in task.outputs.items():
        each = found.get(name)
        said, file = _missing(task), ""
        if each and each["kind"] == "ASSET_PERFORMANCE":
            value = each["asset"]["performance_value"]
            said = f"{value:.6g}"
        elif each:
            model = need(view.records, Model, each["asset"]["key"])
            may = model.permission.allows(view.organization, model.owner) and bool(model.blob)
            said = "model" if model.blob else "model, deleted: it was transient and is needed no more"
            file = f"/models/{model.key}/file" if may else ""
        permissions = shown["outputs"][name]["permissions"]["download"]
        made.append(Left(name, said, "", file, permissions, output.transient, output.private))
    return made
