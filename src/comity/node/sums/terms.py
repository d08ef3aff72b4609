"""What follows from the log for a masked sum: its terms, and how its numbers are encoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from comity.domain.events import SiteNoise
from comity.domain.growing import TAKES
from comity.domain.masking import masking_of
from comity.domain.parts import latest, sites
from comity.domain.records import MaskedSum, Model, Plan, Records, Task, need
from comity.domain.rounds import growth_of
from comity.domain.tasks import made
from comity.privacy.fixed_point import Scale
from comity.privacy.secure_sum import SecureSum
from comity.privacy.site_dp import SiteDP
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
    """How numbers are encoded to which no noise is added."""
    norm: float | None
    """The largest Euclidean norm of a site's floats for each unit of its weight; None for any."""
    noise: SiteDP | None = None
    """By what each site noises its floats; None where it does not."""
    arrays: str = ""
    """With noise, the digest of names and shapes that every contribution has, as the plan fixes it."""

    @property
    def key(self) -> str:
        """Of the task that gathers."""
        return self.record.key

    def scale_of(self, numbers: int) -> Scale:
        """How so many numbers of a contribution are encoded, and noised so that what remains to the end is enough.

        The aggregator's own site is not counted: its organization knows its noise. Raises InvalidInput where no noise
        is enough, or what is does not fit.
        """
        if self.noise is None:
            return self.scale
        rounds = growth_of(self.plan).rounds
        noise = self.noise.noise(survivors=self.terms.cohort, coordinates=numbers, rounds=rounds)
        return self.noise.scale(noise, bits=self.scale.bits, sites=self.scale.sites)


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
    if masking.exact:
        return Masked(record, task, plan, terms, secure.statistics_scale(number), None)
    if masking.noise is None:
        return Masked(record, task, plan, terms, secure.scale(number), secure.norm)
    noise = site_dp(masking.noise)
    norm = noise.clip if secure.norm is None else min(noise.clip, secure.norm)
    return Masked(record, task, plan, terms, secure.scale(number), norm, noise, masking.noise.arrays)


def site_dp(noise: SiteNoise) -> SiteDP:
    """What a plan's noise is by."""
    epsilon = float(noise.epsilon)
    return SiteDP(
        epsilon=None if math.isinf(epsilon) else epsilon,
        noise_multiplier=float(noise.multiplier) or None,
        delta=float(noise.delta),
        clip=float(noise.clip),
        colluding=noise.colluding,
    )


def part_of(records: Records, summed: Masked, site: str) -> tuple[Task, Model] | None:
    """A site's part and what it left to be added; None while it is not done, or when that is gone."""
    assert summed.task.stage
    stage, output, _ = TAKES[summed.task.stage]
    part = latest(records, summed.plan, summed.task.round, stage, site)
    model = made(records, part, output) if part.status == "STATUS_DONE" else None
    return None if model is None or not model.blob else (part, model)
