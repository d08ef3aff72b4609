"""What the conductor of a growing plan says next: a pure function of the plan's records and the time.

It adds a round's tasks with the decision that closes the one before, so that sum, step and the next round's work go
on without it. A round is closed when all who take part have ended; at the deadline when enough of them are there;
and at once when those who are missing were missing before and have not been heard of since. Where too many have
failed they are tried again, and then the round is given up. Without a quorum it waits for those who are away.
Where contributions are masked, who is in a round is for its secure sum to say, and the round is closed by its word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final

from msgspec.structs import replace

from comity.domain.events import AnyEvent, Growth, PlanCompleted, RoundClosed, SumOpened, TaskAdded
from comity.domain.growing import attempts, task_key
from comity.domain.masking import suffices
from comity.domain.parts import away, deadline, given_up, measured_state, parts, tries, unapproved
from comity.domain.plans import status_of
from comity.domain.records import MaskedSum, Performance, Plan, Records, Task, need
from comity.domain.rounds import first, growth_of, local, measurement, round_tasks, sites_of, state_task
from comity.domain.states import ENDED, OVER
from comity.domain.words import Stage


@final
@dataclass(frozen=True)
class Decision:
    """What to say, and when to look again although nothing has changed."""

    events: tuple[AnyEvent, ...] = ()
    look: int | None = None
    """Milliseconds since 1970."""


@final
@dataclass(frozen=True)
class Closing:
    """How a round, or a measurement, stands."""

    event: RoundClosed | None = None
    again: Sequence[Task] = ()
    """Parts to be tried again."""
    awaited: Sequence[Task] = ()
    """Parts that are late, while without them there is no quorum."""
    look: int | None = None


def decide(records: Records, plan: Plan, now: int) -> Decision:
    """What follows from a growing plan as it stands at this time, in milliseconds since 1970."""
    if plan.growth is None or status_of(plan) in OVER:
        return Decision()
    if missing := _missing(records, plan):
        return Decision(missing)
    looks: list[int] = []
    events: list[AnyEvent] = []
    number = plan.rounds_closed + 1
    if number <= plan.rounds_added:
        closing = _closing(records, plan, number, "local", now)
        looks += [closing.look] if closing.look is not None else []
        events += _after_training(plan, number, closing)
    elif not plan.complete:
        events += _after_step(records, plan, plan.rounds_closed)
    for measured in plan.measuring:
        closing = _closing(records, plan, measured, "evaluate", now)
        looks += [closing.look] if closing.look is not None else []
        events += [closing.event] if closing.event else []
    return Decision(tuple(_new(records, events)), min(looks, default=None))


def awaited(records: Records, plan: Plan, now: int) -> list[Task]:
    """Parts that are late, while without them a round has no quorum, or a state is not measured at all."""
    if plan.growth is None or status_of(plan) in OVER or _missing(records, plan):
        return []
    number = plan.rounds_closed + 1
    closings = [_closing(records, plan, number, "local", now)] if number <= plan.rounds_added else []
    closings += [_closing(records, plan, measured, "evaluate", now) for measured in plan.measuring]
    return [part for each in closings for part in each.awaited]


def _missing(records: Records, plan: Plan) -> tuple[AnyEvent, ...]:
    """What was begun and is not all there: the first round, or one of so many sites that it takes several entries."""
    wanted = [first(plan), *round_tasks(plan, max(growth_of(plan).after + 1, plan.rounds_added), plan.memories)]
    closed = plan.rounds_closed
    trained = closed > growth_of(plan).after
    due = [closed] if trained and not plan.complete and _measures(growth_of(plan), closed) else []
    for number in dict.fromkeys([*plan.measuring, *due]):
        wanted += measurement(plan, number, plan.memories)
    return tuple(_new(records, wanted))


def _new(records: Records, events: Sequence[AnyEvent]) -> Iterator[AnyEvent]:
    """Without what is there: a decision may have come in part, and not with its first part either."""
    for each in events:
        match each:
            case TaskAdded() if records.get(Task, each.key) is not None:
                continue
            case SumOpened() if records.get(MaskedSum, each.task) is not None:
                continue
            case _:
                yield each


def _measures(growth: Growth, number: int) -> bool:
    """Whether the state after a round is measured whatever it is."""
    return bool(growth.metrics) and (number >= growth.rounds or number % growth.evaluate_every == 0)


def _after_training(plan: Plan, number: int, closing: Closing) -> Iterator[AnyEvent]:
    """The round's end and what comes after it, or further attempts."""
    for task in closing.again:
        yield local(plan, number, task.worker, plan.memories, 1 + tries(plan, task))
    if closing.event is None:
        return
    yield closing.event
    if not closing.event.included:
        return
    growth = growth_of(plan)
    included = {each: site for site in sites_of(growth, number) for each in attempts(plan, number, site)}
    memories = {**plan.memories, **{included[key]: key for key in closing.event.included}}
    last = number >= growth.rounds
    adaptive = growth.finishes or growth.stop is not None
    if _measures(growth, number):
        yield from measurement(plan, number, memories)
    if last and not adaptive:
        yield PlanCompleted(key=plan.key)
    elif not adaptive:
        yield from round_tasks(plan, number + 1, memories)


def _after_step(records: Records, plan: Plan, number: int) -> Iterator[AnyEvent]:
    """Whether there is a next round, where that hangs on the state, or on what was measured."""
    growth = growth_of(plan)
    if need(records, Task, state_task(plan, number)).status != "STATUS_DONE":
        return
    due = bool(growth.metrics) and number % growth.evaluate_every == 0
    if growth.stop is not None and due:
        finish = records.get(Task, task_key(plan.key, number, "finish"))
        if finish is None or finish.status != "STATUS_DONE":
            return
    ended = number >= growth.rounds or _finished(records, plan, number) or _stopped(records, plan, number)
    if not ended:
        yield from round_tasks(plan, number + 1, plan.memories)
        return
    if growth.metrics and records.get(Task, task_key(plan.key, number, "finish")) is None:
        yield from measurement(plan, number, plan.memories)
    yield PlanCompleted(key=plan.key)


def _finished(records: Records, plan: Plan, number: int) -> bool:
    said = records.get(Performance, f"{state_task(plan, number)}|finished")
    return said is not None and float(said.value) == 1.0


def _stopped(records: Records, plan: Plan, number: int) -> bool:
    """Whether early stopping has had enough, as `EarlyStopping.stops` counts; rounds of other plans do not count."""
    stop = growth_of(plan).stop
    if stop is None:
        return False
    best, since = float("-inf"), 0
    for each in range(growth_of(plan).after + 1, number + 1):
        measured = records.get(Performance, f"{task_key(plan.key, each, 'finish')}|{stop.metric}")
        if measured is None:
            continue
        score = float(measured.value) * (1 if stop.goal == "max" else -1)
        best, since = (score, 0) if score > best + float(stop.min_delta) else (best, since + 1)
    return since >= stop.patience


def _closing(records: Records, plan: Plan, number: int, stage: Literal["local", "evaluate"], now: int) -> Closing:
    growth, state = growth_of(plan), measured_state(records, plan, number, stage)
    if state.status != "STATUS_DONE":
        return Closing()
    every = parts(records, plan, number, stage)
    done = [part for part in every if part.status == "STATUS_DONE"]
    open_ = [part for part in every if part.status not in ENDED]
    failed = [part for part in every if part.status in ("STATUS_FAILED", "STATUS_CANCELED")]
    gathers = task_key(plan.key, number, _gathering(growth.sees_each, stage))
    there = suffices(growth, number, stage, [part.worker for part in done])
    closed = RoundClosed(
        task=gathers,
        included=tuple(part.key for part in done),
        cause="failed" if failed else "deadline" if open_ else "all",
    )
    masked = growth.masking is not None
    if masked and (summed := records.get(MaskedSum, gathers)) is not None and summed.status == "closed":
        return Closing(replace(closed, included=summed.included, cause=closed.cause if summed.included else "failed"))
    if stage == "local" and (again := [part for part in failed if not given_up(plan, part)]):
        return Closing(again=again)
    if not open_ and not there:
        return Closing(RoundClosed(task=gathers, cause="failed"))
    if not open_:
        return Closing(None if masked else closed)
    if any(unapproved(records, part) for part in open_):
        return Closing()
    if there and all(away(plan, part) for part in open_) and not masked:
        return Closing(closed)
    until = deadline(records, plan, state, every)
    if now < until:
        return Closing(look=until)
    if not there:
        return Closing(awaited=open_)
    return Closing(None if masked else closed)


def _gathering(sees_each: bool, stage: Literal["local", "evaluate"]) -> Stage:
    return "scores" if stage == "evaluate" else "step" if sees_each else "sum"
