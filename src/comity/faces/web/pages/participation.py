"""Who took part in which round of an experiment, and what was protected by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import msgspec
from starlette.responses import Response

from comity.domain.records import Dataset, Plan, need
from comity.domain.rounds import growth_of, sites_of
from comity.faces.web.pages.plan import show as show_plan
from comity.faces.web.pages.spreadsheets import fields, sheet
from comity.faces.web.visit import Visit
from comity.node.policy import ledger
from comity.node.rest import nouns
from comity.node.rest.render import View
from comity.node.rest.rounds import one
from comity.privacy.budget import Line, spent
from comity.values.errors import NotFound
from comity.values.quorum import enough

SHOWN = 60
"""Rounds on a page."""

SUMS = 20
"""Rounds whose masked sums are shown."""


SIGNS = {"epsilon": "ε", "delta": "δ"}


class _Experiment(msgspec.Struct, frozen=True):
    privacy: list[dict[str, Any]] = []


_PRIVACY = msgspec.json.Decoder(_Experiment)


@final
@dataclass(frozen=True)
class Cell:
    """A site's part in a round."""

    look: str
    said: str
    task: str


async def show(visit: Visit) -> Response:
    """A row for each site, a column for each round: the last 60, or those before one that is named."""
    asked = visit.query.get("before", "")

    def found(view: View, plan: Plan) -> Mapping[str, Any]:
        if plan.growth is None:
            raise NotFound("this plan is no experiment: it has no rounds")
        growth = growth_of(plan)
        end = min(int(asked) if asked.isascii() and asked.isdigit() else plan.rounds_added + 1, plan.rounds_added + 1)
        first = max(growth.after + 1, end - SHOWN)
        rounds = [one(view, plan, number) for number in range(first, end)]
        rows = {site: [_cell(each, site) for each in rounds] for site in sorted(growth.sites)}
        shares = {site: sum(cell.look == "done" for cell in cells) for site, cells in rows.items()}
        earlier = first if first > growth.after + 1 else None
        selected = len(sites_of(growth, max(plan.rounds_added, 1)))
        least = enough(float(growth.quorum), selected)
        return {
            "shown": rounds,
            "rows": rows,
            "shares": shares,
            "earlier": earlier,
            "least": least,
            "selected": selected,
            "deadline": growth.deadline / 1000,
        }

    return await show_plan(visit, "plan_participation.html", found)


async def sheet_of(visit: Visit) -> Response:
    """Every site's part in every round, as a file."""

    def work(view: View) -> list[Mapping[str, Any]]:
        plan = need(view.records, Plan, visit.call.key)
        if plan.growth is None:
            raise NotFound("this plan is no experiment: it has no rounds")
        growth = growth_of(plan)
        return [
            {"round": number, "site": site, "part": cell.said, "task": cell.task}
            for number in range(growth.after + 1, plan.rounds_added + 1)
            for shown in [one(view, plan, number)]
            for site in sorted(growth.sites)
            for cell in [_cell(shown, site)]
        ]

    return sheet("participation", fields("round", "site", "part", "task"), await visit.call.read(work))


async def privacy(visit: Visit) -> Response:
    """What leaves a site in this plan, who sees it, and how the last rounds were summed."""

    def found(view: View, plan: Plan) -> Mapping[str, Any]:
        if plan.growth is None:
            raise NotFound("this plan is no experiment: its functions say themselves what leaves a site")
        growth, last = plan.growth, plan.rounds_added
        masked = range(max(growth.after + 1, last - SUMS + 1), last + 1) if growth.masking else ()
        return {
            "growth": growth,
            "masking": growth.masking,
            "mechanisms": mechanisms(growth.experiment),
            "spent": _spent(view, plan),
            "sums": [one(view, plan, number) for number in reversed(masked)],
        }

    return await show_plan(visit, "plan_privacy.html", found)


def _spent(view: View, plan: Plan) -> list[tuple[str, str, Line]]:
    """(dataset's name, what became of it, ε and δ) of what the plan was to spend of this organization's budgets."""
    here = view.log.connection, view.log.channel
    made: list[tuple[str, str, Line]] = []
    for dataset in ledger.datasets_of(*here, plan.key):
        for (run, _), line in sorted(spent(ledger.lines(*here, dataset)).last.items()):
            if run == plan.key:
                said = {"reserve": "reserved", "charge": "spent", "release": "given back"}[line.does]
                made.append((view.text(need(view.records, Dataset, dataset).name), said, line))
    return made


def mechanisms(experiment: str) -> list[tuple[str, str]]:
    """(what it is called, its numbers) of each kind of differential privacy that an experiment says it has.

    >>> mechanisms('{"privacy": [{"type": "privacy.RecordDP", "epsilon": 2.0, "delta": 1e-5}]}')
    [('RecordDP', 'ε = 2.0, δ = 1e-05')]
    """
    try:
        said = _PRIVACY.decode(experiment).privacy
    except (msgspec.MsgspecError, RecursionError):
        return []
    named = [(str(each.get("type", "")).rpartition(".")[2], each) for each in said]
    return [
        (
            name,
            ", ".join(
                f"{SIGNS.get(field, field)} = {value}"
                for field, value in sorted(each.items(), key=lambda item: (item[0] not in SIGNS, item[0] != "epsilon"))
                if field != "type"
            ),
        )
        for name, each in named
        if name != "SecureSum"
    ]


def _cell(each: nouns.Round, site: str) -> Cell:
    part = next((part for part in each["parts"] if part["site"] == site), None)
    if part is None:
        return Cell("none", "not asked", "")
    if part["included"]:
        tries = part["attempts"]
        return Cell("done", "took part" + (f" at the {tries}. attempt" if tries > 1 else ""), part["task"])
    match part["status"]:
        case "STATUS_DONE":
            return Cell("late", "late: not included" if each["closed"] else "has answered", part["task"])
        case "STATUS_FAILED":
            return Cell("failed", "failed", part["task"])
        case "STATUS_EXECUTING":
            return Cell("doing", "at work", part["task"])
        case "STATUS_CANCELED":
            return Cell("canceled", "away", part["task"])
        case _:
            return Cell("waiting", part["waiting_for"] or "waits", part["task"])
