"""Datasets: what they are, who may use them, and the code that opens them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comity.domain.policy import Policy, budget_of
from comity.domain.records import Dataset, Model, Plan, PolicyOf, need
from comity.faces.web.code import highlighted
from comity.faces.web.material import text
from comity.faces.web.pages import lists
from comity.faces.web.policy import Said, rules_about
from comity.faces.web.prose import prose
from comity.faces.web.visit import Visit, to
from comity.node import approving, registering
from comity.node.accounts.roles import Right
from comity.node.policy import explaining, ledger
from comity.node.rest.filters import DATASETS
from comity.node.rest.organizations import members
from comity.node.rest.render import View
from comity.privacy.budget import spent
from comity.values.errors import InvalidInput

SAMPLES = 50
"""Keys of samples that are shown."""


async def listed(visit: Visit) -> Response:
    """The datasets of the channel."""
    asked = visit.query

    def work(view: View) -> Mapping[str, Any]:
        organizations = [each["id"] for each in members(view)]
        return {"table": lists.table(view, DATASETS, "/datasets", asked), "organizations": organizations}

    return await visit.show("datasets.html", work)


async def show(visit: Visit) -> Response:
    """One dataset."""
    key, part = visit.call.key, visit.call.part
    await visit.call.read(lambda view: need(view.records, Dataset, key))
    described, opener = await text(part, "dataset description", key), await text(part, "opener", key)
    rights, policy = visit.call.principal.rights, part.policies.now().policy

    def work(view: View) -> Mapping[str, Any]:
        dataset = need(view.records, Dataset, key)
        mine = dataset.owner == view.organization
        used = _plans(view, key)
        return {
            "dataset": view.dataset(dataset),
            "described": prose(described.body) if described.body else "",
            "described_why": described.why,
            "opener": highlighted("opener.py", opener.body),
            "opener_why": opener.why,
            "samples": SAMPLES,
            "used": used,
            "budget": _budget(view, dataset, policy) if mine else None,
            "policy": _policy(view, dataset),
            "may_rename": mine and Right.REGISTER in rights,
            "may_withdraw": mine and Right.WITHDRAW in rights and not dataset.withdrawn_at,
        }

    return await visit.show("dataset.html", work)


async def rename(visit: Visit) -> Response:
    """Give a dataset another name."""
    name = visit.field("name")
    if not 0 < len(name) <= 100:
        raise InvalidInput(f"a name has 1 to 100 characters, not {len(name)}; go back and choose another")
    await registering.rename(visit.call.part, "dataset", visit.call.key, name=name)
    return to(f"/datasets/{visit.call.key}")


async def withdraw(visit: Visit) -> Response:
    """Let no new task use a dataset, and show which models were made from it."""
    reason = visit.field("reason")[:1000]
    models = await approving.withdraw(visit.call.part, visit.call.key, reason=reason)

    def work(view: View) -> Mapping[str, Any]:
        return {
            "dataset": view.dataset(need(view.records, Dataset, visit.call.key)),
            "models": [_made(each) for each in models],
        }

    return await visit.show("withdrawn.html", work)


def _made(model: Model) -> Mapping[str, Any]:
    return {"key": model.key, "task": model.task, "owner": model.owner, "output": model.output}


def _budget(view: View, dataset: Dataset, policy: Policy | None) -> Mapping[str, Any] | None:
    """What the dataset has to spend, and has; None where nothing is kept of it."""
    given = budget_of(policy, dataset=dataset.key, name=view.text(dataset.name)) if policy else None
    lines = ledger.lines(view.log.connection, view.log.channel, dataset.key)
    if given is None and not lines:
        return None
    unit = "record" if given is None else given.unit
    known = spent(lines, unit)
    return {
        "unit": unit,
        "epsilon": given and given.epsilon,
        "charged": known.charged[0],
        "reserved": known.reserved[0],
    }


def _policy(view: View, dataset: Dataset) -> list[Said] | None:
    """What its owner said in the log that its policy asks for; None where it has none, or said what cannot be read."""
    told = view.records.get(PolicyOf, dataset.owner)
    policy = explaining.read_said(view.text(told.content), told.digest) if told and told.digest else None
    return policy and rules_about(policy, dataset=dataset.key, name=view.text(dataset.name))


def _plans(view: View, dataset: str) -> list[tuple[str, str]]:
    """(key, name) of the latest plans whose experiments run on the dataset."""
    _, every = view.records.search(Plan, {}, limit=1000)
    found = [
        each
        for each in every
        if each.growth is not None and any(site.dataset == dataset for site in each.growth.sites.values())
    ]
    view.learn(found[:10])
    return [(each.key, view.text(each.name)) for each in found[:10]]
