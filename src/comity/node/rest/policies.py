"""The members' policies, what they would say, and what this organization's datasets have spent."""

from __future__ import annotations

import math
from typing import Any, final

import msgspec
from starlette.responses import Response

from comity.domain.events import Growth
from comity.domain.policy import budget_of
from comity.domain.records import Dataset, Organization, PolicyOf
from comity.node.policy import explaining, ledger
from comity.node.rest import nouns
from comity.node.rest.bodies import decoded
from comity.node.rest.call import Call, answer
from comity.node.rest.dates import date
from comity.node.rest.render import View
from comity.privacy.budget import spent


@final
class Explain(msgspec.Struct, frozen=True):
    """An experiment, as a plan would grow."""

    growth: Growth
    organization: str = ""
    """Who would ask; the caller's unless given."""


async def listed(call: Call) -> Response:
    """What each organization said of its policy last."""
    return answer(await call.read(_policies))


async def explain(call: Call) -> Response:
    """What each site's policy would say of an experiment, before it is sent."""
    body = decoded(await call.body(), Explain)
    found = await call.read(
        lambda view: explaining.explained(
            view.log, body.growth, body.organization or view.organization, here=view.organization
        )
    )
    shown: list[nouns.Explained] = [
        {
            "organization": each.site,
            "dataset": each.dataset,
            "allowed": each.ruling.allowed,
            "rule": each.ruling.rule or None,
            "reasons": list(each.ruling.reasons),
            "policy": each.policy or None,
        }
        for each in found
    ]
    return answer(shown)


async def budgets(call: Call) -> Response:
    """What this organization's datasets have, and have spent."""
    policy = call.part.policies.now().policy

    def work(view: View) -> list[nouns.Budget]:
        made: list[nouns.Budget] = []
        for dataset in view.records.find(Dataset, "owner", view.organization):
            name = view.text(dataset.name)
            budget = budget_of(policy, dataset=dataset.key, name=name) if policy else None
            lines = ledger.lines(view.log.connection, view.log.channel, dataset.key)
            if budget is None and not lines:
                continue
            unit = "record" if budget is None else budget.unit
            known = spent(lines, unit)
            made.append(
                {
                    "dataset": dataset.key,
                    "name": name,
                    "unit": unit,
                    "budget": None if budget is None else {"epsilon": budget.epsilon, "delta": budget.delta},
                    "charged": _pair(known.charged),
                    "reserved": _pair(known.reserved),
                    "root": known.root,
                    "lines": [_line(each) for each in lines],
                }
            )
        return made

    return answer(await call.read(work))


def _policies(view: View) -> list[nouns.Policy]:
    made: list[nouns.Policy] = []
    for member in view.records.find(Organization, "status", "member"):
        said = view.records.get(PolicyOf, member.key)
        if said is not None:
            text = view.text(said.content)
            policy = explaining.read_said(text, said.digest) if said.digest else None
            content: Any = None if policy is None else msgspec.to_builtins(policy)
            made.append(
                {
                    "organization": member.key,
                    "digest": said.digest or None,
                    "content": content,
                    "date": date(said.at) or "",
                }
            )
    return made


def _pair(given: tuple[float, float]) -> nouns.Spent:
    return {"epsilon": given[0] if math.isfinite(given[0]) else None, "delta": given[1]}


def _line(line: Any) -> dict[str, Any]:
    return {**msgspec.to_builtins(line), "at": date(line.at)}
