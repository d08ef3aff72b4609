"""Masked sums in the log: who may take part, when their aggregator goes on without some, and what came out.

What the parties say to each other is no part of the log (`comity.privacy`). The log fixes the roster, with its keys, so
that all of them begin by the same terms; and it says who is in the sum, and the sum's root.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from comity.domain.events import Growth, Masking, SumClosed, SumOpened
from comity.domain.growing import TAKES
from comity.domain.membership import Act
from comity.domain.parts import away, deadline, given_up, latest, measured_state, parts, sites, unapproved
from comity.domain.plans import own_plan
from comity.domain.records import Draft, MaskedSum, Organization, Plan, Records, Task, need
from comity.domain.rounds import growth_of, sites_of
from comity.domain.states import ENDED
from comity.domain.sums import SUM
from comity.domain.words import Stage
from comity.values.cohort import two_thirds
from comity.values.errors import Conflict, Forbidden, InvalidInput
from comity.values.quorum import enough


def sum_opened(records: Draft, act: Act, event: SumOpened) -> None:
    """The plan's owner says who may take part in a masked sum: those who are members now."""
    task = need(records, Task, event.task)
    plan = own_plan(records, task.plan, act)
    if records.get(MaskedSum, task.key) is not None:
        raise Conflict(f"the sum of task {task.key} was opened before")
    if not task.gathers or task.status in ENDED or task.function != SUM or growth_of(plan).masking is None:
        raise Conflict(f"task {task.key} is none that gathers masked parts")
    assert task.stage
    stage, _, _ = TAKES[task.stage]
    found = [need(records, Organization, each) for each in sites(plan, task.round, stage)]
    roster = {each.key: each.keys for each in found if each.status == "member"}
    records.put(
        MaskedSum(key=task.key, plan=plan.key, aggregator=task.worker, roster=roster, created_at=act.at),
    )


def sum_closed(records: Draft, act: Act, event: SumClosed) -> None:
    """The aggregator says who is in the sum that came out, or that none did."""
    summed, task = need(records, MaskedSum, event.task), need(records, Task, event.task)
    if act.author != summed.aggregator:
        raise Forbidden(f"OE0102: the sum of task {task.key} is made by {summed.aggregator}, not by {act.author}")
    if summed.status != "open" or task.status in ENDED:
        raise Conflict(f"the sum of task {task.key} is closed")
    if bool(event.included) != bool(event.root):
        raise InvalidInput(
            f"a sum that came out has a root and parts, not {event.root or 'no root'} and {len(event.included)}"
        )
    plan = need(records, Plan, summed.plan)
    growth = growth_of(plan)
    assert task.stage
    stage, _, _ = TAKES[task.stage]
    included = [need(records, Task, key) for key in event.included]
    for part in included:
        if (part.plan, part.round, part.stage) != (task.plan, task.round, stage) or part.status != "STATUS_DONE":
            raise InvalidInput(f"task {part.key} is no part of round {task.round} that is done")
        if part.worker not in summed.roster:
            raise InvalidInput(f"{part.worker} is not in the roster of the sum of task {task.key}")
    names = [part.worker for part in included]
    if len(set(names)) < len(names):
        raise InvalidInput(f"the sum of task {task.key} takes one part of each site")
    if included and counted(growth, names) < cohort(growth, [*summed.roster]):
        raise InvalidInput(f"the sum of task {task.key} is of {sorted(names)}, which are too few of its roster")
    records.put(
        replace(
            summed,
            status="closed",
            included=event.included,
            root=event.root,
            clipped=event.clipped,
            reason=event.reason,
            ended_at=act.at,
        )
    )


def masking_of(growth: Growth) -> Masking:
    """How the experiment's sums are masked."""
    assert growth.masking is not None
    return growth.masking


def counted(growth: Growth, names: Collection[str]) -> int:
    """How many of these sites count: the aggregator's own hides nothing from it."""
    return sum(name != growth.aggregator for name in names)


def cohort(growth: Growth, names: Collection[str]) -> int:
    """How many of these sites must stay until their sum is opened, the aggregator's own not counted."""
    return max(masking_of(growth).least, two_thirds(counted(growth, names)))


def suffices(growth: Growth, number: int, stage: Stage, names: Sequence[str]) -> bool:
    """Whether these sites' parts are enough for a round, or for a measurement."""
    selected = sites_of(growth, number) if stage == "local" else sorted(growth.sites)
    if growth.masking is not None and counted(growth, names) < cohort(growth, selected):
        return False
    return len(names) >= (enough(float(growth.quorum), len(selected)) if stage == "local" else 1)


def goes_on(records: Records, task: Task, heard: Collection[str], asked: Collection[str]) -> int | None:
    """When a masked sum does without those of the asked sites that were not heard, in milliseconds since 1970.

    As a round in the clear: at once (0) when all have answered or cannot any more, or those who have not were missing
    before; at the deadline when enough have. None while it hangs on what comes. heard, asked: names of sites.
    """
    plan = need(records, Plan, task.plan)
    assert task.stage
    stage, _, _ = TAKES[task.stage]
    missing = sorted(set(asked) - set(heard))
    if not missing:
        return 0
    if not suffices(growth_of(plan), task.round, stage, sorted(heard)):
        return None
    theirs = [latest(records, plan, task.round, stage, site) for site in missing]
    if all(given_up(plan, part) or away(plan, part) for part in theirs):
        return 0
    state = measured_state(records, plan, task.round, stage)
    if state.status != "STATUS_DONE" or any(unapproved(records, part) for part in theirs):
        return None
    return deadline(records, plan, state, parts(records, plan, task.round, stage))
