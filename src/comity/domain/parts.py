"""Sites' parts of a round or of a measurement: their attempts, and by when they are waited for."""

from __future__ import annotations

from collections.abc import Iterable

from comity.domain.growing import attempts
from comity.domain.records import Approval, Draft, Function, Plan, Records, Task, need
from comity.domain.rounds import growth_of, sites_of, state_task
from comity.domain.states import ENDED
from comity.domain.tasks import waits_for_approval
from comity.domain.words import Stage
from comity.values.errors import NotFound

BEGUN = ("STATUS_EXECUTING", *ENDED)


def sites(plan: Plan, number: int, stage: Stage) -> list[str]:
    """Who has a part, in order of name."""
    return sites_of(growth_of(plan), number) if stage == "local" else sorted(growth_of(plan).sites)


def parts(records: Records, plan: Plan, number: int, stage: Stage) -> list[Task]:
    """Every site's last attempt at its part, in order of name."""
    return [latest(records, plan, number, stage, site) for site in sites(plan, number, stage)]


def latest(records: Records, plan: Plan, number: int, stage: Stage, site: str) -> Task:
    """A site's last attempt at its part; raises NotFound where it has none."""
    found = [task for key in attempts(plan, number, site, stage) if (task := records.get(Task, key)) is not None]
    if not found:
        raise NotFound(f"{site} has no part in {stage} of round {number} of the plan {plan.key}")
    return found[-1]


def tries(plan: Plan, part: Task) -> int:
    """Which attempt of its site's it is, from 1."""
    assert part.stage
    return 1 + attempts(plan, part.round, part.worker, part.stage).index(part.key)


def given_up(plan: Plan, part: Task) -> bool:
    """Whether its site has failed at it as often as it may."""
    return part.status in ("STATUS_FAILED", "STATUS_CANCELED") and (
        part.stage != "local" or tries(plan, part) > growth_of(plan).retries
    )


def away(plan: Plan, part: Task) -> bool:
    """Whether its site was missing before, and has not been heard of since."""
    return part.worker in plan.absent and part.status not in BEGUN


def unapproved(records: Records, part: Task) -> bool:
    """Whether a steward's word is missing."""
    function = need(records, Function, part.function)
    return bool(waits_for_approval(Draft(records), part, function))


def measured_state(records: Records, plan: Plan, number: int, stage: Stage) -> Task:
    """The task whose state the parts take."""
    return need(records, Task, state_task(plan, number - 1 if stage == "local" else number))


def deadline(records: Records, plan: Plan, state: Task, waited_for: Iterable[Task]) -> int:
    """Until when parts are waited for that were able to begin, in milliseconds since 1970."""
    return growth_of(plan).deadline + max(state.ended_at, *(_able(records, part) for part in waited_for))


def _able(records: Records, part: Task) -> int:
    """When the site could begin, but for the state."""
    function = need(records, Function, part.function)
    word = records.get(Approval, f"{part.worker}|{function.archive}")
    return max(part.created_at, function.ready_at, word.at if word else 0)
