"""Several plans side by side: their curves, their last figures, and the settings in which they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from comity.domain.records import Plan, need
from comity.faces.comparing import flattened
from comity.faces.web.curves import axis_of, curves
from comity.faces.web.drawing.lines import Series, chart
from comity.faces.web.visit import Visit
from comity.node.rest.render import View

MOST = 12
"""Plans that are compared."""

LONGEST = 80
"""Characters of a setting that are shown."""


async def show(visit: Visit) -> Response:
    """The plans that are named, in their order; without one, how to choose some."""
    asked = visit.query
    keys = list(dict.fromkeys(each for each in asked.get("plans", "").split(",") if each))[:MOST]

    def work(view: View) -> Mapping[str, Any]:
        plans = [need(view.records, Plan, key) for key in keys]
        view.learn(plans)
        names = _names(view, plans)
        axis = axis_of(view, plans, asked.get("x", ""))
        scale = "log" if asked.get("y") == "log" else "linear"
        lines = curves(view, plans, axis=axis, names=names) if plans else {}
        settings = {plan.key: _settings(view, plan) for plan in plans}
        _, others = view.records.search(Plan, {}, limit=20)
        view.learn(others)
        return {
            "plans": [view.plan(each) for each in plans],
            "names": names,
            "charts": [chart(metric, series, axis=axis, scale=scale) for metric, series in lines.items()],
            "last": {metric: [_last(series, names[each.key]) for each in plans] for metric, series in lines.items()},
            "differ": _differ([settings[key] for key in keys]),
            "axis": axis,
            "scale": scale,
            "others": [(each.key, view.text(each.name), each.owner) for each in others if each.key not in keys],
        }

    return await visit.show("compare.html", work)


def _names(view: View, plans: Sequence[Plan]) -> dict[str, str]:
    """The plans' names; with the beginning of the key where two are called alike."""
    called = [view.text(plan.name) or "(no name)" for plan in plans]
    return {
        plan.key: name if called.count(name) == 1 else f"{name} {plan.key[:8]}"
        for plan, name in zip(plans, called, strict=True)
    }


def _last(series: Sequence[Series], name: str) -> list[tuple[str, float]]:
    """(line, figure) of the last point of each of a plan's lines."""
    return [
        (each.name.removeprefix(f"{name}: "), max(each.points, key=lambda point: point[0])[1])
        for each in series
        if each.points and each.name.startswith(f"{name}: ")
    ]


def _settings(view: View, plan: Plan) -> dict[str, str]:
    """Everything that a plan was given, each under a path of names."""
    shown = view.plan(plan)
    made = {f"metadata: {name}": value for name, value in shown["metadata"].items()}
    made |= {"owner": shown["owner"], "tag": shown["tag"]}
    growth = plan.growth
    if growth is not None:
        made |= {"sites": ", ".join(sorted(growth.sites)), "aggregator": growth.aggregator, "quorum": growth.quorum}
        made |= flattened(json.loads(growth.experiment))
    return {name: text if len(text) <= LONGEST else text[:LONGEST] + "…" for name, text in made.items()}


def _differ(settings: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """(name, value in each plan) of the settings that are not the same in all."""
    names = sorted({name for each in settings for name in each})
    rows = [(name, [each.get(name, "–") for each in settings]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]
