"""What follows from the log for a masked sum: its terms, and how its numbers are encoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from comity.domain.growing import TAKES
from comity.domain.masking import masking_of
from comity.domain.parts import latest, sites
from comity.domain.records import MaskedSum, Model, Plan, Records, Task, need
from comity.domain.rounds import growth_of
from comity.domain.tasks import made
from comity.privacy.fixed_point import Scale
from comity.privacy.secure_sum import SecureSum
from comity.privacy.terms import Terms


@final
@dataclass(frozen=True)
class Masked:
    """A masked sum, with all that its parties take from the log."""

    record: MaskedSum
    task: Task
    plan: Plan
    terms: Terms
    scale: Scale
    norm: float | None
    """The largest Euclidean norm of a site's floats for each unit of its weight; None for any."""

    @property
    def key(self) -> str:
        """Of the task that gathers."""
        return self.record.key


def masked(records: Records, record: MaskedSum) -> Masked:
    """The sum; raises NotSupported or InvalidInput when too few are left in its roster."""
    task = need(records, Task, record.key)
    plan = need(records, Plan, record.plan)
    growth = growth_of(plan)
    masking = masking_of(growth)
    assert task.stage
    stage, _, _ = TAKES[task.stage]
    terms = Terms(
        plan=plan.key,
        sum=task.key,
        roster=record.roster,
        bits=masking.bits if stage == "local" else 64,
        least=masking.least,
        own=record.aggregator if record.aggregator in record.roster else "",
    )
    secure = SecureSum(
        clip=float(masking.clip),
        norm=None if math.isinf(float(masking.norm)) else float(masking.norm),
        bits=masking.bits,
        max_weight=masking.max_weight,
        least=masking.least,
        metric_limit=float(masking.metric_limit),
    )
    number = len(sites(plan, task.round, stage))
    if stage == "evaluate":
        return Masked(record, task, plan, terms, secure.metric_scale(number), None)
    scale = secure.statistics_scale(number) if masking.exact else secure.scale(number)
    return Masked(record, task, plan, terms, scale, None if masking.exact else secure.norm)


def part_of(records: Records, summed: Masked, site: str) -> tuple[Task, Model] | None:
    """A site's part and what it left to be added; None while it is not done, or when that is gone."""
    assert summed.task.stage
    stage, output, _ = TAKES[summed.task.stage]
    part = latest(records, summed.plan, summed.task.round, stage, site)
    model = made(records, part, output) if part.status == "STATUS_DONE" else None
    return None if model is None or not model.blob else (part, model)
