"""The tasks of an experiment's rounds.

A round has a local task at each selected site, their sum, and the step to the next state; a state that is measured
has an evaluation at every site, their sum, and the metrics that follow. Site tasks are optional, the rest required.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from comity.domain.events import Aggregate, Growth, SumOpened, TaskAdded, TaskInput, TaskOutput
from comity.domain.growing import task_key
from comity.domain.records import Plan
from comity.domain.sums import SUM
from comity.domain.words import Permission, Stage

PUBLIC = TaskOutput(permission=Permission(public=True))


def growth_of(plan: Plan) -> Growth:
    """How a growing plan grows."""
    assert plan.growth is not None
    return plan.growth


def sites_of(growth: Growth, round: int) -> list[str]:
    """Who takes part in a round, in order of name."""
    return sorted(growth.selected[round - 1] if growth.selected else growth.sites)


def state_task(plan: Plan, round: int) -> str:
    """The key of the task that makes the state after a round; the first state is that after the rounds before."""
    return task_key(plan.key, round, "init" if round == growth_of(plan).after else "step")


def first(plan: Plan) -> TaskAdded:
    """The task that makes the first state."""
    growth = growth_of(plan)
    start = (TaskInput(identifier="start", asset=growth.start),) if growth.start else ()
    return _task(plan, "init", growth.after, inputs=start, outputs={"state": _shared(plan)})


def round_tasks(plan: Plan, number: int, memories: Mapping[str, str]) -> list[TaskAdded | SumOpened]:
    """The tasks of a round, with each site's memory taken from the task named; and its masked sum, if it is one."""
    growth = growth_of(plan)
    sites = sites_of(growth, number)
    made = [local(plan, number, site, memories) for site in sites]
    parts = tuple(TaskInput("parts", parent=each.key, output="contribution") for each in made)
    state = TaskInput("state", parent=state_task(plan, number - 1), output="state")
    outputs = {"state": _shared(plan), **({"finished": PUBLIC} if growth.finishes else {})}
    if growth.sees_each:
        return [*made, _task(plan, "step", number, inputs=(state, *parts), outputs=outputs, gathers=True)]
    total = _task(plan, "sum", number, inputs=parts, outputs={"total": _kept()}, gathers=True)
    summed = TaskInput("total", parent=total.key, output="total")
    step = _task(plan, "step", number, inputs=(state, summed), outputs=outputs)
    return [*made, total, *_opened(growth, total), step]


def local(plan: Plan, number: int, site: str, memories: Mapping[str, str], attempt: int = 1) -> TaskAdded:
    """A site's part of a round."""
    growth = growth_of(plan)
    given = Permission(authorized=(growth.aggregator,)) if growth.sees_each else Permission()
    aggregate = None if growth.sees_each else _aggregate(growth)
    outputs = {
        "contribution": TaskOutput(permission=given, transient=True, private=True, aggregate=aggregate),
        "memory": TaskOutput(private=True),
    }
    inputs = _at_site(plan, number - 1, site, memories)
    return _task(plan, "local", number, site=site, inputs=inputs, outputs=outputs, attempt=attempt)


def measurement(plan: Plan, number: int, memories: Mapping[str, str]) -> list[TaskAdded | SumOpened]:
    """The tasks that measure the state after a round at every site, test rows of those without part in it too.

    Where sums are masked nobody is told what a single site measured.
    """
    growth = growth_of(plan)
    left = dict.fromkeys(growth.metrics, PUBLIC)
    made = [evaluation(plan, number, site, memories) for site in sorted(growth.sites)]
    parts = tuple(TaskInput("parts", parent=each.key, output="scores") for each in made)
    total = _task(plan, "scores", number, inputs=parts, outputs={"total": _kept()}, gathers=True)
    summed = TaskInput("total", parent=total.key, output="total")
    finish = _task(plan, "finish", number, inputs=(summed,), outputs=left)
    return [*made, total, *_opened(growth, total), finish]


def evaluation(plan: Plan, number: int, site: str, memories: Mapping[str, str]) -> TaskAdded:
    """A site's part of a measurement; where sums are masked it shows nothing by itself."""
    growth = growth_of(plan)
    shown = {} if growth.masking else dict.fromkeys(growth.metrics, PUBLIC)
    scores = TaskOutput(transient=True, private=True, aggregate=_aggregate(growth))
    inputs = _at_site(plan, number, site, memories)
    return _task(plan, "evaluate", number, site=site, inputs=inputs, outputs={"scores": scores, **shown})


def _aggregate(growth: Growth) -> Aggregate:
    """Who may add a site's part, and how."""
    masking = growth.masking
    if masking is None:
        return Aggregate(organizations=(growth.aggregator,))
    return Aggregate(organizations=(growth.aggregator,), protocol="SA-1", least=masking.least)


def _opened(growth: Growth, total: TaskAdded) -> tuple[SumOpened, ...]:
    return () if growth.masking is None else (SumOpened(task=total.key),)


def _at_site(plan: Plan, state: int, site: str, memories: Mapping[str, str]) -> tuple[TaskInput, ...]:
    data = growth_of(plan).sites[site]
    if site in memories:
        memory = (TaskInput("memory", parent=memories[site], output="memory"),)
    else:
        before = growth_of(plan).memories.get(site)
        memory = (TaskInput("memory", asset=before),) if before else ()
    return (
        TaskInput("opener", asset=data.dataset),
        *(TaskInput("datasamples", asset=sample) for sample in data.samples),
        TaskInput("state", parent=state_task(plan, state), output="state"),
        *memory,
    )


def _shared(plan: Plan) -> TaskOutput:
    """A state, which all who take part may have."""
    growth = growth_of(plan)
    return TaskOutput(permission=Permission(authorized=tuple(sorted({*growth.sites, growth.aggregator}))))


def _kept() -> TaskOutput:
    """A sum, which stays where it was made."""
    return TaskOutput(transient=True, private=True)


def _task(
    plan: Plan,
    stage: Stage,
    number: int,
    *,
    inputs: Sequence[TaskInput],
    outputs: Mapping[str, TaskOutput],
    site: str = "",
    attempt: int = 1,
    gathers: bool = False,
) -> TaskAdded:
    growth = growth_of(plan)
    return TaskAdded(
        key=task_key(plan.key, number, stage, site, attempt),
        plan=plan.key,
        function=SUM if stage in ("sum", "scores") else growth.functions[stage],
        worker=site or growth.aggregator,
        inputs=tuple(inputs),
        outputs=dict(outputs),
        required=not site,
        stage=stage,
        round=number,
        gathers=gathers,
    )
