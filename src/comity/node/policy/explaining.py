"""What the members' policies would say of an experiment, from what they said of their policies in the log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import msgspec

from comity.adapters.sql.log import Log
from comity.domain.events import Growth
from comity.domain.policy import (
    LEVELS,
    LIMITS,
    PERMISSIONS,
    SPENT_WITHOUT_END,
    Asked,
    Policy,
    Ruling,
    budget_of,
    decide,
    read_policy,
)
from comity.domain.records import Dataset, PolicyOf, need
from comity.node.policy import ledger
from comity.node.policy.asked import experiment_asked
from comity.node.policy.policies import content, minute
from comity.privacy.budget import over, spent, spent_without_end
from comity.values.digest import digest
from comity.values.errors import InvalidInput


@final
@dataclass(frozen=True)
class Explained:
    """What one site's policy would say."""

    site: str
    dataset: str
    ruling: Ruling
    policy: str
    """The digest of the policy; empty for none."""


def explained(log: Log, growth: Growth, organization: str, *, here: str) -> list[Explained]:
    """What each site's policy would say if the organization asked now.

    Of another's node neither the sandbox nor the clock is known: the best level and this node's clock are taken; and
    what its datasets have spent only it knows. here: the organization of this node.
    """
    made: list[Explained] = []
    for site, data in sorted(growth.sites.items()):
        dataset = need(log.records, Dataset, data.dataset)
        said = log.records.get(PolicyOf, site)
        if said is None or not said.digest:
            made.append(Explained(site, dataset.key, Ruling(rule=PERMISSIONS), ""))
            continue
        policy = read_said(log.texts([said.content]).get(said.content, ""), said.digest)
        if policy is None:
            unknown = Ruling(reasons=(f"what {site} said of its policy cannot be read, or was deleted",))
            made.append(Explained(site, dataset.key, unknown, said.digest))
            continue
        name = log.texts([dataset.name]).get(dataset.name, "")
        shows = bool(growth.metrics) and growth.masking is None
        asked = experiment_asked(growth, organization, dataset, name=name, round=1, shows_metrics=shows)
        ruling = decide(policy, replace(asked, sandbox=LEVELS[-1], minute=minute()))
        more = _budget(log, policy, asked) if site == here or not ruling.allowed else ()
        if ruling.allowed and more:
            ruling = Ruling(reasons=tuple(more))
        made.append(Explained(site, dataset.key, ruling, said.digest))
    return made


def read_said(text: str, said: str) -> Policy | None:
    """The policy of this digest that an organization said; None for anything else that it may have written."""
    try:
        policy = read_policy(msgspec.json.decode(text))
        return policy if digest(content(policy).encode()) == said else None
    except (msgspec.MsgspecError, InvalidInput, ValueError, TypeError, RecursionError):
        return None


def _budget(log: Log, policy: Policy, asked: Asked) -> Sequence[str]:
    """Why the dataset's budget does not allow it."""
    budget = budget_of(policy, dataset=asked.dataset, name=asked.name)
    if budget is None:
        return ()
    epsilon, delta = asked.spends.get(budget.unit, SPENT_WITHOUT_END)
    if not math.isfinite(epsilon):
        has = f"ε = {budget.epsilon:g} for each {budget.unit}"
        return (f"the dataset has a privacy budget of {has}, and this has no {LIMITS[budget.unit]}",)
    before = spent(ledger.lines(log.connection, log.channel, asked.dataset), budget.unit)
    more = over(before, asks=(epsilon, delta), epsilon=budget.epsilon, delta=budget.delta)
    if math.isinf(more[0]):
        return (spent_without_end(budget.unit),)
    return tuple(f"{name} would be overspent by {by:.4g}" for name, by in zip("εδ", more, strict=True) if by)
