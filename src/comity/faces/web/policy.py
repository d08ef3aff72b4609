"""What an owner's policy says of one dataset, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from comity.domain.policy import Policy, Rule


@final
@dataclass(frozen=True)
class Said:
    """One rule: whom it lets in, and what it asks for."""

    id: str
    organizations: str
    demands: Sequence[str]


def rules_about(policy: Policy, *, dataset: str, name: str) -> list[Said]:
    """The rules about a dataset, in their order: the first whose demands are all met allows."""
    return [
        Said(rule.id, "everybody" if "*" in rule.organizations else ", ".join(rule.organizations), demands(rule))
        for rule in policy.rule
        if dataset in rule.datasets or any(fnmatchcase(name, pattern) for pattern in rule.datasets)
    ]


def demands(rule: Rule) -> list[str]:
    """What a rule asks of whatever is run by it.

    >>> demands(Rule(id="masked", secure_sum=True, least=3, rounds=50))
    ['only experiments', 'sums masked', 'sums of 3 sites at least', '50 rounds at most']
    """
    made: list[str] = []
    if rule.tasks == "experiments":
        made.append("only experiments")
    if rule.secure_sum:
        made.append("sums masked")
    if rule.least > 1:
        made.append(f"sums of {rule.least} sites at least")
    if rule.colluding:
        made.append(f"noise of sites that is enough when {rule.colluding} of them tell theirs")
    if math.isfinite(rule.epsilon):
        whose = "the whole site" if rule.unit == "site" else "each record"
        made.append(f"differential privacy of {whose} with ε ≤ {rule.epsilon:g}, δ ≤ {rule.delta:g}")
    if rule.rounds is not None:
        made.append(f"{rule.rounds} rounds at most")
    if "*" not in rule.metrics:
        made.append(f"no metric but {', '.join(rule.metrics) or 'none'}")
    if not rule.site_metrics:
        made.append("nothing shown that was measured at this site alone")
    if rule.digits is not None:
        made.append(f"performances rounded to {rule.digits} digits")
    if rule.smallest_count:
        made.append(f"no count below {rule.smallest_count}")
    if rule.repeats is not None:
        made.append(f"the same experiment {rule.repeats} times at most")
    if rule.sandbox != "plain":
        made.append(f"tasks held in by {rule.sandbox}")
    if rule.hours:
        made.append(f"open {rule.hours}")
    return made
