"""An experiment that has ended, taken up where it ended: how the plan grows that goes on with its rounds.

As `comity.sdk.continuing` does for who has the experiment's code: what is needed here is the log alone, so that whoever
looks at a page can have it done.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from msgspec.structs import replace

from comity.domain.entry import canonical
from comity.domain.events import Growth
from comity.domain.growing import attempts, task_key
from comity.domain.plans import status_of
from comity.domain.records import Model, Plan, Records, Task
from comity.domain.rounds import growth_of, sites_of, state_task
from comity.domain.states import OVER
from comity.domain.tasks import made
from comity.values import codec
from comity.values.errors import Conflict, InvalidInput, NotSupported

PRIVATE = ("privacy.RecordDP", "privacy.SiteDP")
"""As an experiment's document calls differential privacy."""

NOTHING = codec.digest({})
"""Of the memory of a site that keeps none."""


def rounds_done(records: Records, plan: Plan) -> int:
    """The last round whose state is there, 0 when the plan has done none."""
    growth = growth_of(plan)
    for number in range(plan.rounds_closed, growth.after, -1):
        if _state(records, plan, number) is not None:
            return number
    return 0


def why_not(records: Records, plan: Plan) -> str:
    """Why nobody can go on with a plan, however many rounds are asked for; empty when one can."""
    if plan.growth is None:
        return "this plan is no experiment: it has no rounds to go on with"
    if status_of(plan) not in OVER:
        return "it still runs; cancel it first, or let it end"
    name = _differentially_private(plan.growth)
    if name:
        return f"{name} has promised an ε of all rounds together, which more of them would exceed; begin another"
    last = rounds_done(records, plan)
    if not last:
        return "no round of it was done; begin it again"
    if plan.growth.selected and last == plan.growth.rounds:
        return f"who takes part was drawn for {last} rounds; comity plan resume --rounds draws for more of them"
    return ""


def next_key(records: Records, plan: Plan) -> str:
    """Of the plan that will go on with this one; another once there is one."""
    begun = sum(
        each.growth is not None and each.growth.continues == plan.key
        for each in records.find(Plan, "owner", plan.owner)
    )
    return str(uuid.uuid5(uuid.UUID(plan.key), f"continued {begun}"))


def continued(records: Records, plan: Plan, rounds: int) -> Growth:
    """How the plan grows that goes on until so many rounds are done in all.

    Raises Conflict or NotSupported for a plan that nobody can go on with, InvalidInput for rounds that are done.
    """
    growth, why = growth_of(plan) if plan.growth else None, why_not(records, plan)
    if growth is None or why:
        raise (NotSupported if growth and _differentially_private(growth) else Conflict)(f"plan {plan.key}: {why}")
    last = rounds_done(records, plan)
    if rounds <= last:
        raise InvalidInput(f"{last} rounds are done already; give more in all, not {rounds}")
    if growth.selected and rounds != growth.rounds:
        raise InvalidInput(
            f"who takes part was drawn for {growth.rounds} rounds, not {rounds}; comity plan resume --rounds draws anew"
        )
    state = _state(records, plan, last)
    assert state is not None
    return replace(
        growth,
        experiment=_with_rounds(growth.experiment, rounds),
        rounds=rounds,
        start=state.key,
        continues=plan.key,
        after=last,
        memories=_memories(records, plan, last),
    )


def _state(records: Records, plan: Plan, number: int) -> Model | None:
    step = records.get(Task, state_task(plan, number))
    state = made(records, step, "state") if step else None
    return state if state and state.blob else None


def _memories(records: Records, plan: Plan, last: int) -> dict[str, str]:
    """The models that hold what sites remembered after that round; those that remember nothing are left out."""
    growth = growth_of(plan)
    found = dict(growth.memories)
    for number in range(growth.after + 1, last + 1):
        gather = records.get(Task, task_key(plan.key, number, "step" if growth.sees_each else "sum"))
        included = {each.parent for each in gather.inputs} if gather else set[str]()
        for site in sites_of(growth, number):
            for key in attempts(plan, number, site):
                part = records.get(Task, key) if key in included else None
                memory = made(records, part, "memory") if part else None
                if memory is not None:
                    found[site] = memory.key
    return {site: key for site, key in found.items() if _remembers(records, plan, site, key)}


def _remembers(records: Records, plan: Plan, site: str, key: str) -> bool:
    memory = records.get(Model, key)
    if memory is None or not memory.blob:
        raise Conflict(f"what {site} remembered is gone: the plan {plan.key} was continued before; go on from that one")
    return memory.blob != NOTHING


def _with_rounds(experiment: str, rounds: int) -> str:
    document = msgspec.json.decode(experiment)
    return canonical({**document, "rounds": rounds}).decode() if isinstance(document, dict) else experiment


def _differentially_private(growth: Growth) -> str:
    """What an experiment's differential privacy is called; empty where it has none."""
    try:
        document: Any = msgspec.json.decode(growth.experiment)
        kinds = [each.get("type") for each in document.get("privacy", [])]
    except (msgspec.MsgspecError, RecursionError, AttributeError):
        return ""
    return next((kind.rpartition(".")[2] for kind in kinds if kind in PRIVATE), "")
