"""One compute plan: what it measured, and what can be done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.domain.events import PlanCancelled, PlanRegistered
from comity.domain.growing import task_key
from comity.domain.membership import Act
from comity.domain.plans import own_plan
from comity.domain.records import Plan, Task, need
from comity.domain.rounds import growth_of, sites_of
from comity.domain.states import OVER
from comity.faces.web.curves import axis_of, curves
from comity.faces.web.drawing.lines import chart
from comity.faces.web.visit import Visit, to
from comity.node import continuing, registering
from comity.node.accounts.preferences import Preferences
from comity.node.accounts.roles import Right
from comity.node.registering import Labels
from comity.node.rest.render import View, status_of
from comity.values.errors import InvalidInput


async def performance(visit: Visit) -> Response:
    """Charts of what the plan measured."""
    asked = visit.query

    def found(view: View, plan: Plan) -> Mapping[str, Any]:
        axis = axis_of(view, [plan], asked.get("x", ""))
        scale = "log" if asked.get("y") == "log" else "linear"
        lines = curves(view, [plan], axis=axis)
        charts = [chart(metric, series, axis=axis, scale=scale) for metric, series in lines.items()]
        return {"charts": charts, "axis": axis, "scale": scale}

    return await show(visit, "plan_performance.html", found)


async def show(visit: Visit, template: str, found: Any) -> Response:
    """One of the plan's pages: its head, and what is found in the same reading."""
    favourites = (await preferences(visit)).favourites
    may_run = Right.RUN in visit.call.principal.rights

    def work(view: View) -> Mapping[str, Any]:
        plan = need(view.records, Plan, visit.call.key)
        return {**head(view, plan, may_run), "favourite": plan.key in favourites, **found(view, plan)}

    return await visit.show(template, work)


def head(view: View, plan: Plan, may_run: bool) -> Mapping[str, Any]:
    """What stands above each page of a plan."""
    growth = plan.growth
    mine = plan.owner == view.organization
    over = status_of(plan) in OVER
    return {
        "plan": view.plan(plan),
        "rounds": growth
        and {
            "done": plan.rounds_closed,
            "planned": growth.rounds,
            "sites": sorted(growth.sites),
            "last": _taken_part(view, plan),
        },
        "aggregator": growth.aggregator if growth else "",
        "stopped": plan.complete and growth is not None and plan.rounds_closed < growth.rounds,
        "may_rename": mine and may_run,
        "may_cancel": mine and may_run and not over,
        "resume": _resume(view, plan) if mine and may_run and over and growth else None,
        "over": over,
    }


def _taken_part(view: View, plan: Plan) -> tuple[int, int] | None:
    """(how many sites the last closed round is of, how many it asked); None before one is closed."""
    growth, number = growth_of(plan), plan.rounds_closed
    gather = view.records.get(Task, task_key(plan.key, number, "step" if growth.sees_each else "sum"))
    if number <= growth.after or gather is None:
        return None
    return sum(each.identifier == "parts" for each in gather.inputs), len(sites_of(growth, number))


def _resume(view: View, plan: Plan) -> Mapping[str, Any]:
    """Whether the experiment can go on, and how many rounds it may be given."""
    growth = growth_of(plan)
    done = continuing.rounds_done(view.records, plan)
    return {
        "why_not": continuing.why_not(view.records, plan),
        "done": done,
        "planned": max(growth.rounds, done + 1),
        "fixed": bool(growth.selected),
        "key": continuing.next_key(view.records, plan),
    }


async def preferences(visit: Visit) -> Preferences:
    """What the visitor's pages look like."""
    return await asyncio.to_thread(visit.call.api.accounts.preferences, visit.call.principal)


async def cancel(visit: Visit) -> Response:
    """End the plan."""
    await visit.call.part.following.write([PlanCancelled(key=visit.call.key)], {})
    return to(f"/compute_plans/{visit.call.key}")


async def resume(visit: Visit) -> Response:
    """Go on with an experiment that has ended, in a plan of its own."""
    given, key = visit.field("rounds"), visit.call.key
    if not (given.isascii() and given.isdigit() and len(given) <= 6):
        raise InvalidInput(f"the number of rounds is a whole number in all, not {given[:40]!r}; go back and give one")

    def found(view: View) -> tuple[PlanRegistered, Labels] | None:
        known = view.records.get(Plan, visit.field("key"))
        if known is not None and known.growth is not None and known.growth.continues == key:
            return None  # the form was sent before
        plan = own_plan(view.draft, key, Act(view.organization, view.now))
        growth = continuing.continued(view.records, plan, int(given))
        event = PlanRegistered(
            key=continuing.next_key(view.records, plan), name="", creator=visit.call.principal.user, growth=growth
        )
        return event, Labels(
            name=view.text(plan.name), tag=view.text(plan.tag_text), metadata=view.metadata(plan.metadata)
        )

    new = await visit.call.read(found)
    if new is not None:
        await registering.register(visit.call.part, [new])
    return to(f"/compute_plans/{new[0].key if new else visit.field('key')}")


async def rename(visit: Visit) -> Response:
    """Give the plan another name."""
    name = visit.field("name")
    if not 0 < len(name) <= 100:
        raise InvalidInput(f"a name has 1 to 100 characters, not {len(name)}; go back and choose another")
    await registering.rename(visit.call.part, "plan", visit.call.key, name=name)
    return to(f"/compute_plans/{visit.call.key}")


async def favour(visit: Visit) -> Response:
    """Make the plan a favourite, or no longer."""
    key = visit.call.key
    await visit.call.read(lambda view: need(view.records, Plan, key))
    kept = await preferences(visit)
    favourites = [each for each in kept.favourites if each != key]
    if len(favourites) == len(kept.favourites):
        favourites.append(key)
    changed = Preferences(favourites=tuple(favourites), columns=kept.columns)
    await asyncio.to_thread(visit.call.api.accounts.keep_preferences, visit.call.principal, changed)
    return to(f"/compute_plans/{key}")
