"""The registration of an experiment: what its rounds would be refused for is refused at once.

Later only its conductor would be told, again and again.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from comity.domain import plans
from comity.domain.added import task_added
from comity.domain.events import Growth, PlanRegistered, SiteNoise, TaskAdded
from comity.domain.masking import counted
from comity.domain.membership import Act
from comity.domain.records import Dataset, Draft, Organization, Plan, need
from comity.domain.rounds import first, measurement, round_tasks
from comity.domain.words import Stage
from comity.values.cohort import check_number
from comity.values.errors import Forbidden, InvalidInput, NotSupported
from comity.values.quorum import enough


def plan_registered(records: Draft, act: Act, event: PlanRegistered) -> None:
    """A plan of the author's; raises what does not fit of an experiment, and what its first round would raise."""
    plans.plan_registered(records, act, event)
    if event.growth is not None:
        _check_before(event.growth)
        _check_stages(event.growth)
        _check_selected(event.growth)
        _check_masking(event.growth)
        _check_sites(records, event.growth)
        _try(records, act, need(records, Plan, event.key))


def _check_before(growth: Growth) -> None:
    if growth.after >= growth.rounds:
        raise InvalidInput(f"OE0101: {growth.after} rounds were done before; of {growth.rounds} none is left")
    if bool(growth.after) != bool(growth.continues) or (growth.after and not growth.start):
        raise InvalidInput("OE0101: who continues an experiment names its plan, how many rounds, and the state")
    if not growth.memories.keys() <= growth.sites.keys():
        raise InvalidInput(f"OE0101: memories of {sorted(growth.memories)}, but the sites are {sorted(growth.sites)}")


def _check_stages(growth: Growth) -> None:
    wanted: list[Stage] = ["init", "local", "step", *(("evaluate", "finish") if growth.metrics else ())]
    missing = [stage for stage in wanted if stage not in growth.functions]
    if missing:
        raise InvalidInput(f"OE0101: the experiment has no function for {', '.join(missing)}")
    if growth.stop is not None and growth.stop.metric not in growth.metrics:
        raise InvalidInput(f"OE0101: the experiment stops by {growth.stop.metric}, which it does not measure")


def _check_selected(growth: Growth) -> None:
    quorum = float(growth.quorum)
    if not (math.isfinite(quorum) and quorum > 0 and (quorum < 1 or quorum == int(quorum))):
        raise InvalidInput(f"OE0101: the quorum is {growth.quorum}; it is a number of sites, or a share below 1")
    if growth.selected and len(growth.selected) != growth.rounds:
        raise InvalidInput(f"OE0101: sites are selected for {len(growth.selected)} rounds of {growth.rounds}")
    for number, sites in enumerate(growth.selected or (tuple(growth.sites),), 1):
        if not sites or len(set(sites)) < len(sites) or not set(sites) <= growth.sites.keys():
            raise InvalidInput(f"OE0101: round {number} selects {list(sites)} of {sorted(growth.sites)}")
        if enough(quorum, len(sites)) > len(sites):
            raise InvalidInput(f"OE0101: the quorum is {quorum:g} but round {number} has {len(sites)} sites; lower it")


def _check_masking(growth: Growth) -> None:
    """What a round's secure sum would be refused for, see `comity.values.cohort`."""
    masking = growth.masking
    if masking is None:
        return
    if growth.sees_each:
        raise InvalidInput("OE0101: who sees each contribution sees no masked ones; leave masking out")
    for number in (masking.clip, masking.metric_limit, masking.norm):
        if not float(number) > 0:
            raise InvalidInput(f"OE0101: clip, norm and metric_limit of a masked sum are above 0, not {number}")
    if masking.noise is not None:
        _check_noise(masking.noise, exact=masking.exact)
    for sites in (*growth.selected, tuple(growth.sites)):
        number = counted(growth, sites)
        try:
            check_number(number)
        except NotSupported as error:
            raise InvalidInput(f"OE0101: {error}") from error
        if number < masking.least:
            raise InvalidInput(f"OE0101: a masked sum is of {masking.least} sites at least, but a round has {number}")


def _check_noise(noise: SiteNoise, *, exact: bool) -> None:
    epsilon, multiplier, delta, clip = map(float, (noise.epsilon, noise.multiplier, noise.delta, noise.clip))
    if exact:
        raise InvalidInput("OE0101: sums that are themselves the result are not noised; leave noise out")
    if not (epsilon > 0 and 0 <= multiplier < math.inf and math.isinf(epsilon) == (multiplier > 0)):
        raise InvalidInput(
            f"OE0101: noise follows from epsilon or from a multiplier, not from {noise.epsilon} and {noise.multiplier}"
        )
    if not (0 < delta < 1 and 0 < clip < math.inf):
        raise InvalidInput(f"OE0101: noise has a δ between 0 and 1 and a clip above 0, not {noise.delta}, {noise.clip}")


def _check_sites(records: Draft, growth: Growth) -> None:
    """A round goes on without who has left or withdrawn its data; an experiment does not begin with them."""
    for site, data in growth.sites.items():
        found = records.get(Organization, site)
        if found is None or found.status != "member":
            raise InvalidInput(f"OE0101: the worker {site} is not a member of this channel")
        if need(records, Dataset, data.dataset).withdrawn_at:
            raise Forbidden(f"OE0102: {site} has withdrawn the dataset {data.dataset}")


def _try(records: Draft, act: Act, plan: Plan) -> None:
    """Add the tasks of a round over all sites, and of a measurement, to what is then forgotten."""
    assert plan.growth is not None
    everybody = replace(plan, growth=replace(plan.growth, selected=()))
    begins = plan.growth.after + 1
    tasks = [first(everybody), *round_tasks(everybody, begins, {})]
    if plan.growth.metrics:
        tasks += measurement(everybody, begins, {})
    forgotten = Draft(records)
    for each in tasks:
        if isinstance(each, TaskAdded):
            task_added(forgotten, act, each)
