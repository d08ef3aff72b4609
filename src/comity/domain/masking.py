"""Masked sums in the log: who may take part, when their aggregator goes on without some, and what came out.

A growing plan has the tasks of its rounds and no others, each as its conductor adds it: a task that took a single part,
or a second sum of the same parts with other sites, would tell what the sum does not.

What the parties say to each other is no part of the log (`comity.privacy`). The log fixes the roster, with its keys, so
that all of them begin by the same terms; and it says who is in the sum, and the sum's root.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from comity.domain import growing
from comity.domain.events import Growth, Masking, SumClosed, SumOpened, TaskAdded
from comity.domain.growing import TAKES
from comity.domain.membership import Act
from comity.domain.parts import away, deadline, given_up, latest, measured_state, parts, sites, unapproved
from comity.domain.plans import own_plan
from comity.domain.records import Draft, MaskedSum, Organization, Plan, Records, Task, need
from comity.domain.rounds import evaluation, first, growth_of, local, measurement, round_tasks, sites_of
from comity.domain.states import ENDED
from comity.domain.words import Stage
from comity.values.cohort import two_thirds
from comity.values.errors import Conflict, Forbidden, InvalidInput
from comity.values.quorum import enough


def task_added(records: Draft, act: Act, event: TaskAdded) -> None:
    """One more task of the author's plan; raises Forbidden for one that the rounds of a growing plan do not have.

    So what its growth says is what becomes of data: an owner's policy can go by it. Which memory a site takes up is up
    to the conductor. A site tries again only what has failed: each attempt may tell something else.
    """
    plan = need(records, Plan, event.plan)
    if plan.growth is not None and event.stage == "local":
        keys = growing.attempts(plan, event.round, event.worker)
        number = keys.index(event.key) if event.key in keys else 0
        before = records.get(Task, keys[number - 1]) if number else None
        if number and (before is None or before.status not in ("STATUS_FAILED", "STATUS_CANCELED")):
            raise Conflict(f"task {event.key} tries again what {event.worker} has not failed at")
    growing.task_added(records, act, event)
    if plan.growth is None:
        return
    wanted = [each for each in _tasks(plan, event) if isinstance(each, TaskAdded) and each.key == event.key]
    if [_essence(each) for each in wanted] != [_essence(event)]:
        raise Forbidden(f"OE0102: the plan {plan.key} has the tasks of its rounds, and none such as {event.key}")


def _tasks(plan: Plan, event: TaskAdded) -> Iterator[TaskAdded | SumOpened]:
    """The tasks of the round that this one says it is of."""
    growth, number = growth_of(plan), event.round
    if event.stage == "init":
        yield first(plan)
    elif event.stage and growth.after < number <= growth.rounds:
        if event.stage == "local" and event.worker in sites_of(growth, number):
            for attempt in range(1, growth.retries + 2):
                yield local(plan, number, event.worker, {}, attempt)
        elif event.stage in ("sum", "step"):
            yield from round_tasks(plan, number, {})
        elif growth.metrics and event.stage == "evaluate" and event.worker in growth.sites:
            yield evaluation(plan, number, event.worker, {})
        elif growth.metrics:
            yield from measurement(plan, number, {})


def _essence(event: TaskAdded) -> TaskAdded:
    """Without what is up to whoever adds it."""
    inputs = tuple(each for each in event.inputs if each.identifier != "memory")
    return replace(event, inputs=inputs, tag_text="", metadata="")


def sum_opened(records: Draft, act: Act, event: SumOpened) -> None:
    """The plan's owner says who may take part in a masked sum: those who are members now."""
    task = need(records, Task, event.task)
    plan = own_plan(records, task.plan, act)
    if records.get(MaskedSum, task.key) is not None:
        raise Conflict(f"the sum of task {task.key} was opened before")
    if plan.growth is None or plan.growth.masking is None or not task.gathers or task.status in ENDED:
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
    if all(given_up(plan, part) or away(plan, part) or _has_left(records, part.worker) for part in theirs):
        return 0
    state = measured_state(records, plan, task.round, stage)
    if state.status != "STATUS_DONE" or any(unapproved(records, part) for part in theirs):
        return None
    return deadline(records, plan, state, parts(records, plan, task.round, stage))


def gives_out(records: Records, task: Task) -> int | None:
    """From when on there is no hope for a sum to which too few give, in milliseconds since 1970; None while some may.

    Sites whose parts are done may still be unable to give them: numbers that do not fit, keys that were replaced.
    """
    plan = need(records, Plan, task.plan)
    assert task.stage
    stage, _, _ = TAKES[task.stage]
    every = parts(records, plan, task.round, stage)
    state = measured_state(records, plan, task.round, stage)
    if state.status != "STATUS_DONE" or any(part.status not in ENDED for part in every):
        return None
    return max(deadline(records, plan, state, every), *(part.ended_at for part in every))


def _has_left(records: Records, organization: str) -> bool:
    return need(records, Organization, organization).status != "member"
