"""What a task asks for of the data of this organization, as the log and its plan have it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec

from comity.domain.events import Growth, TaskOutput
from comity.domain.policy import Asked, Unit
from comity.domain.records import Dataset, Function, Plan, Records, Task
from comity.domain.rounds import sites_of
from comity.domain.words import Permission
from comity.values.quorum import enough

RECORD_DP = "privacy.RecordDP"
"""As an experiment's document calls `co.privacy.RecordDP`."""


class _Experiment(msgspec.Struct, frozen=True):
    """Of an experiment's document what its privacy is."""

    privacy: list[dict[str, Any]] = []


_EXPERIMENTS = msgspec.json.Decoder(_Experiment)


def asked_of(task: Task, plan: Plan, function: Function, dataset: Dataset, *, name: str) -> Asked:
    """Without what hangs on the node, its sandbox and its clock, and without repeats. name: of the dataset.

    What counts is what becomes of the task's own outputs, and not what its plan says of all of them.
    """
    growth = plan.growth if task.stage else None
    if growth is None:
        return Asked(owner=dataset.owner, organization=task.owner, dataset=dataset.key, name=name, experiment=False)
    numbers = [each for each in task.outputs if function.outputs[each].kind == "ASSET_PERFORMANCE"]
    models = [left for each, left in task.outputs.items() if each not in numbers]
    asked = experiment_asked(growth, task.owner, dataset, name=name, round=task.round, shows_metrics=bool(numbers))
    masked = asked.masked and all(_is_masked(each) for each in models)
    return replace(
        asked,
        masked=masked,
        spends=spends(growth, masked=masked),
        metrics=tuple(dict.fromkeys((*asked.metrics, *numbers))),
    )


def _is_masked(left: TaskOutput) -> bool:
    """Whether nobody else gets an output, but in a masked sum."""
    aggregate = left.aggregate
    return left.private and left.permission == Permission() and (aggregate is None or aggregate.protocol == "SA-1")


def experiment_asked(
    growth: Growth, organization: str, dataset: Dataset, *, name: str, round: int, shows_metrics: bool
) -> Asked:
    """What an experiment of an organization's asks for of one of its datasets, in one of its rounds."""
    noise = None if growth.masking is None else growth.masking.noise
    selected = sites_of(growth, max(1, min(round, growth.rounds)))
    # Of a masked sum's roster some may have left by the time it begins: what is sure is what it asks for.
    needs = enough(float(growth.quorum), len(selected)) if growth.masking is None else growth.masking.least
    return Asked(
        owner=dataset.owner,
        organization=organization,
        dataset=dataset.key,
        name=name,
        experiment=True,
        masked=growth.masking is not None,
        cohort=needs,
        spends=spends(growth, masked=growth.masking is not None),
        colluding=None if noise is None else noise.colluding,
        rounds=growth.rounds,
        metrics=growth.metrics,
        shows_metrics=shows_metrics,
    )


def spends(growth: Growth, *, masked: bool) -> dict[Unit, tuple[float, float]]:
    """(ε, δ) that all rounds together may spend on a record, and on a site, where either is limited.

    masked: whether what the site gives goes into masked sums and nowhere else.

    Of a record it is what the experiment says of its training. Of a site it is what this node sees to: it noises what
    its site gives to a masked sum. That limits what is told of a record too, which can change all that its site gives:
    to nothing and from there to anything are two steps (Dwork and Roth 2014, theorem 2.2; δ as in Vadhan, "The
    Complexity of Differential Privacy", 2017, lemma 7.2.2).
    """
    made: dict[Unit, tuple[float, float]] = {}
    if math.isfinite((record := _of_records(growth))[0]):
        made["record"] = record
    noise = growth.masking.noise if masked and growth.masking is not None else None
    if noise is not None and math.isfinite(epsilon := float(noise.epsilon)):
        delta = float(noise.delta)
        made["site"] = epsilon, delta
        twice = delta * (1 + math.exp(min(epsilon, 700.0)))
        if "record" not in made and twice < 1:
            made["record"] = 2 * epsilon, twice
    return made


def _of_records(growth: Growth) -> tuple[float, float]:
    """(ε, δ) of a record by what the experiment says of its training; ε is infinite where it says nothing."""
    try:
        privacy = _EXPERIMENTS.decode(growth.experiment).privacy
    except (msgspec.MsgspecError, RecursionError):
        privacy = []
    for each in privacy:
        if each.get("type") == RECORD_DP:
            epsilon, delta = _number(each.get("epsilon")), _number(each.get("delta"))
            if epsilon > 0 and 0 < delta < 1:
                return epsilon, delta
    return math.inf, 0.0


def repeats(records: Records, plan: Plan, dataset: str) -> int:
    """How often the plan's owner has begun the same experiment on the dataset before it, whatever its seed."""
    if plan.growth is None:
        return 0
    same, count = _but_for_its_seed(plan.growth.experiment), 0
    for other in records.find(Plan, "owner", plan.owner):
        if other.growth is None or _but_for_its_seed(other.growth.experiment) != same:
            continue
        taken = any(data.dataset == dataset for data in other.growth.sites.values())
        count += taken and (other.created_at, other.key) < (plan.created_at, plan.key)
    return count


def _but_for_its_seed(experiment: str) -> object:
    """An experiment's document without its seed; as it is where it is none."""
    try:
        document = msgspec.json.decode(experiment)
    except (msgspec.MsgspecError, RecursionError):
        return experiment
    if isinstance(document, dict):
        document.pop("seed", None)  # pyright: ignore[reportUnknownMemberType]
    return document  # pyright: ignore[reportUnknownVariableType]


def _number(value: object) -> float:
    """The number; NaN for anything else, or one that no float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
