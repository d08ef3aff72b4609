"""Compute plans."""

from __future__ import annotations

from math import isfinite

from starlette.responses import Response

from comity.domain.events import PlanCancelled, PlanRegistered
from comity.domain.records import Performance, Plan, Task, need
from comity.node import registering
from comity.node.rest import nouns
from comity.node.rest.bodies import Name, NewPlan, decoded
from comity.node.rest.call import Call, answer
from comity.node.rest.render import View


async def register(call: Call) -> Response:
    """Register a plan without tasks; one of this organization's that is there already is shown."""
    new = decoded(await call.body(), NewPlan)
    known = await call.read(lambda view: _is_known(view, new))
    if not known:
        event = PlanRegistered(key=new.key, name="", creator=call.principal.user, growth=new.growth)
        await registering.register(call.part, [(event, new.labels)])
    shown = await call.read(lambda view: view.plan(need(view.records, Plan, new.key)))
    return answer(shown, 200 if known else 201)


async def rename(call: Call) -> Response:
    """Give a plan another name."""
    await registering.rename(call.part, "plan", call.key, name=decoded(await call.body(), Name).name)
    return answer({})


async def cancel(call: Call) -> Response:
    """End a plan; its open tasks are cancelled and what runs is killed."""
    await call.part.following.write([PlanCancelled(key=call.key)], {})
    return answer({})


async def metadata_keys(call: Call) -> Response:
    """The keys of all plans' metadata, each once."""

    def work(view: View) -> list[str]:
        _, every = view.records.search(Plan, {})
        view.learn(every)
        return sorted({key for each in every for key in view.metadata(each.metadata)})

    return answer(await call.read(work))


async def performances(call: Call) -> Response:
    """What a plan's tasks have measured."""
    return answer(await call.read(lambda view: _performances(view, call.key)))


def _is_known(view: View, new: NewPlan) -> bool:
    plan = view.records.get(Plan, new.key)
    if plan is None or plan.owner != view.organization:
        return False
    return plan.growth == new.growth


def _performances(view: View, key: str) -> nouns.Measurements:
    plan = need(view.records, Plan, key)
    # What is no number is left out: JSON has no word for it, and the stock client reads numbers only.
    every = [each for each in view.records.find(Performance, "plan", plan.key) if isfinite(float(each.value))]
    found = [(need(view.records, Task, each.task), each) for each in every]
    found.sort(key=lambda each: (each[0].rank, each[0].worker, each[1].key))
    tasks = list(view.records.find(Task, "plan", plan.key))
    view.learn(tasks)
    rounds = {named for task in tasks if (named := round_of(view, task)) is not None}
    return {
        "count": len(found),
        "next": None,
        "previous": None,
        "results": [_measured(task, each, round_of(view, task)) for task, each in found],
        "compute_plan_statistics": {
            "compute_tasks_distinct_ranks": sorted({task.rank for task in tasks}),
            "compute_tasks_distinct_rounds": sorted(rounds, key=int),
        },
    }


def _measured(task: Task, each: Performance, round: str | None) -> nouns.Measured:
    return {
        "compute_task": {
            "key": task.key,
            "function_key": task.function,
            "rank": task.rank,
            "round_idx": round,
            "worker": task.worker,
        },
        "identifier": each.output,
        "perf": float(each.value),
    }


def round_of(view: View, task: Task) -> str | None:
    """The round as a task's metadata name it; None where that is no number, which the stock client cannot read."""
    named = str(task.round) if task.stage else view.metadata(task.metadata).get("round_idx", "")
    return named if named.isascii() and named.isdigit() else None
