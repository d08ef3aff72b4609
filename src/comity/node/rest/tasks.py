"""Tasks, their inputs and outputs, and their logs."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from comity.domain.events import TaskInput
from comity.domain.records import DataSample, Dataset, Draft, Function, Model, Performance, Task, need
from comity.domain.tasks import made
from comity.node import registering
from comity.node.fetching import fetch_log
from comity.node.rest import nouns
from comity.node.rest.bodies import NewTask, NewTasks, decoded
from comity.node.rest.call import Call, Endpoint, answer
from comity.node.rest.filters import bare
from comity.node.rest.pages import PAGING, page_of
from comity.node.rest.reading import TEXT
from comity.node.rest.render import View
from comity.values.errors import InvalidInput

ASSETS = {"identifier": str, **PAGING}
"""Parameters of lists of inputs and outputs, and their types."""


async def register(call: Call) -> Response:
    """Add tasks to one plan of this organization: all of them or none."""
    new = decoded(await call.body(), NewTasks).tasks
    if len({each.compute_plan_key for each in new}) != 1:
        raise InvalidInput("OE0003: give tasks. All tasks should have the same compute plan key")
    workers = await call.read(lambda view: [_worker(view, each) for each in new])
    events = [(each.event(worker), each.labels) for each, worker in zip(new, workers, strict=True)]
    await registering.register(call.part, registering.in_order(events))
    return answer(await call.read(lambda view: _shown(view, [each.key for each in new])))


async def logs(call: Call) -> Response:
    """The log of a failed task, if this organization may read it, wherever it lies."""
    text = await fetch_log(call.part, call.key)
    return Response(text, media_type=TEXT, headers={"x-content-type-options": "nosniff"})


def assets(found: Callable[[View, Task], list[nouns.Asset]]) -> Endpoint:
    """An endpoint that lists what goes into a task, or what came out of it."""

    async def show(call: Call) -> Response:
        every = await call.read(lambda view: found(view, need(view.records, Task, call.key)))
        wanted = call.parameters.get("identifier")
        results = [each for each in every if wanted is None or _is_called(each["identifier"], wanted)]
        page = page_of(call.parameters, 100)
        return call.paged(page, len(results), results[page.start : page.start + page.size])

    return show


def _is_called(identifier: str, wanted: str) -> bool:
    """Whether it is one of several names; the stock client takes every space out of them."""
    return identifier in wanted.split(",") or bare(identifier) in map(bare, wanted.split(","))


def inputs(view: View, task: Task) -> list[nouns.Asset]:
    """The assets that a task takes; a parent's output is among them once it is there."""
    function, shown = need(view.records, Function, task.function), list[nouns.Asset]()
    for each in task.inputs:
        kind = function.inputs[each.identifier].kind
        asset: nouns.Dataset | nouns.Sample | nouns.Model | None
        if kind == "ASSET_DATA_MANAGER":
            asset = view.dataset(need(view.records, Dataset, each.asset))
        elif kind == "ASSET_DATA_SAMPLE":
            asset = view.sample(need(view.records, DataSample, each.asset))
        else:
            asset = _model(view, each)
        if asset is not None:
            shown.append({"kind": kind, "identifier": each.identifier, "asset": asset})
    return shown


def outputs(view: View, task: Task) -> list[nouns.Asset]:
    """The models and performances that a task has left."""
    shown: list[nouns.Asset] = [
        {"kind": "ASSET_MODEL", "identifier": each.output, "asset": view.model(each)}
        for each in view.records.find(Model, "task", task.key)
    ]
    for each in view.records.find(Performance, "task", task.key):
        shown.append({"kind": "ASSET_PERFORMANCE", "identifier": each.output, "asset": view.performance(each)})
    return shown


def _model(view: View, given: TaskInput) -> nouns.Model | None:
    if given.asset:
        return view.model(need(view.records, Model, given.asset))
    model = made(Draft(view.records), need(view.records, Task, given.parent), given.output)
    return None if model is None else view.model(model)


def _shown(view: View, keys: list[str]) -> list[nouns.Task]:
    tasks = [need(view.records, Task, key) for key in keys]
    view.learn(tasks)
    return [view.task(each) for each in tasks]


def _worker(view: View, new: NewTask) -> str:
    """As it was given, or the owner of the task's dataset."""
    if new.worker:
        return new.worker
    found = [view.records.get(Dataset, each.asset_key) for each in new.inputs or () if each.asset_key]
    owners = [each.owner for each in found if each is not None]
    if not owners:
        raise InvalidInput(f"OE0101: task {new.key} takes no dataset, so that its worker must be given")
    return owners[0]
