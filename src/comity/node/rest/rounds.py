"""The rounds of an experiment: who took part, what was measured, and what it waits for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from starlette.responses import Response

from comity.domain.conducting import awaited
from comity.domain.growing import attempts, task_key
from comity.domain.records import MaskedSum, Performance, Plan, Task, need
from comity.domain.rounds import growth_of, sites_of, state_task
from comity.domain.states import ENDED, OVER
from comity.domain.tasks import made
from comity.node.rest import nouns
from comity.node.rest.call import Call, answer
from comity.node.rest.dates import date
from comity.node.rest.render import View, status_of
from comity.values.errors import InvalidInput

PARAMETERS = {"after": int, "wait": int}
"""The version that the caller has, and for how many milliseconds a newer one may be waited for."""

LONGEST = 30_000

WHOLE = re.compile(r"-?[0-9]{1,11}")


async def show(call: Call) -> Response:
    """Show an experiment's rounds; with `after`, once there is more to show than in that version."""
    after, wait = (_whole(call, name, default) for name, default in (("after", -1), ("wait", 0)))
    following = call.part.following
    changed = following.watch()
    try:
        async with asyncio.timeout(min(wait, LONGEST) / 1000 if wait else None):
            while True:
                changed.clear()
                shown = await call.read(lambda view: rounds(view, need(view.records, Plan, call.key)))
                if shown["version"] > after or shown["status"] in OVER or not wait:
                    return answer(shown)
                await changed.wait()
    except TimeoutError:
        return answer(await call.read(lambda view: rounds(view, need(view.records, Plan, call.key))))
    finally:
        following.unwatch(changed)


def rounds(view: View, plan: Plan) -> nouns.Rounds:
    """How an experiment stands; raises InvalidInput for a plan without rounds."""
    if plan.growth is None:
        raise InvalidInput(f"the plan {plan.key} is no experiment: it has no rounds")
    growth = growth_of(plan)
    tasks = [each for each in view.records.find(Task, "plan", plan.key) if each.stage]
    shown = [one(view, plan, number) for number in range(growth.after + 1, plan.rounds_added + 1)]
    return {
        "key": plan.key,
        "name": view.text(plan.name),
        "status": status_of(plan),
        "version": sum(len(each.outputs) + each.attempt + 2 * (each.status in ENDED) for each in tasks)
        + len(tasks)
        + plan.rounds_closed
        + (status_of(plan) in OVER),
        "experiment": growth.experiment,
        "organizations": sorted(growth.sites),
        "aggregator": growth.aggregator,
        "planned": growth.rounds,
        "datasets": {site: data.dataset for site, data in growth.sites.items()},
        "continues": growth.continues or None,
        "waiting_for": sorted(set(_waits(view, plan, tasks))),
        "failed": [each.key for each in tasks if each.status == "STATUS_FAILED"],
        "rounds": shown,
    }


def one(view: View, plan: Plan, number: int) -> nouns.Round:
    """One round of an experiment."""
    growth, closed = growth_of(plan), number <= plan.rounds_closed
    gather = view.records.get(Task, task_key(plan.key, number, "step" if growth.sees_each else "sum"))
    included = {each.parent for each in gather.inputs} if gather and closed else set[str]()
    step = view.records.get(Task, state_task(plan, number))
    state = step and made(view.draft, step, "state")
    before = need(view.records, Task, state_task(plan, number - 1))
    return {
        "number": number,
        "closed": closed,
        "parts": [
            _part(view, tries, site, included)
            for site in sites_of(growth, number)
            if (tries := _tries(view, plan, number, site))
        ],
        "state": state.key if state and state.blob else None,
        "start_date": date(before.ended_at),
        "end_date": date(step.ended_at) if step else None,
        "sum": _sum(view, task_key(plan.key, number, "sum")),
        "scores": _sum(view, task_key(plan.key, number, "scores")),
        "pooled": _measured(view, task_key(plan.key, number, "finish")),
        "sites": {
            site: measured
            for site in sorted(growth.sites)
            if (measured := _measured(view, task_key(plan.key, number, "evaluate", site)))
        },
    }


def _tries(view: View, plan: Plan, number: int, site: str) -> list[Task]:
    """A site's attempts at its part; none yet where a round of very many sites is on its way."""
    keys = attempts(plan, number, site)
    return [task for key in keys if (task := view.records.get(Task, key)) is not None]


def _part(view: View, tries: list[Task], site: str, included: set[str]) -> nouns.Part:
    return {
        "task": tries[-1].key,
        "site": site,
        "status": tries[-1].status,
        "attempts": len(tries),
        "included": any(task.key in included for task in tries),
        "size": None if (model := made(view.draft, tries[-1], "contribution")) is None else model.size,
        "waiting_for": view.waiting_for(tries[-1]),
        "refused": view.text(tries[-1].reason) if tries[-1].reason else None,
    }


def _sum(view: View, key: str) -> nouns.MaskedSum | None:
    """What is known of a masked sum, and of none in the clear."""
    summed = view.records.get(MaskedSum, key)
    if summed is None:
        return None
    return {
        "protocol": "SA-1",
        "status": summed.status,
        "roster": sorted(summed.roster),
        "root": summed.root or None,
        "clipped": summed.clipped,
        "reason": view.text(summed.reason),
    }


def _measured(view: View, key: str) -> dict[str, float | None] | None:
    task: Task | None = view.records.get(Task, key)
    if task is None or task.status != "STATUS_DONE":
        return None
    return {each.output: float(each.value) for each in view.records.find(Performance, "task", key)}


def _waits(view: View, plan: Plan, tasks: list[Task]) -> Iterator[str]:
    """A steward's word, or sites that are away while the quorum is not there."""
    if status_of(plan) in OVER:
        return
    for task in tasks:
        if (why := view.waiting_for(task)) is not None:
            yield why
    for part in awaited(view.records, plan, view.now):
        lacks = "has no quorum" if part.stage == "local" else "is not measured"
        yield f"{part.worker}, without which round {part.round} {lacks}"


def _whole(call: Call, name: str, default: int) -> int:
    given = call.parameters.get(name, str(default))
    if not WHOLE.fullmatch(given):
        raise InvalidInput(f"{name} is a whole number, not {given!r:.40}")
    return int(given)
