"""The stages of a round, each by itself: the first state, a site's part, the next state, the model's metrics.

They are what a simulation runs one after the other in one process, and what a network runs as tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

import numpy as np

from comity.engine.compressing import own
from comity.engine.experiment import Experiment
from comity.engine.plain import RunTraining
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, NotSupported, a
from comity.values.metric import Metric
from comity.values.model import Fit, Model, Training
from comity.values.noise import Random
from comity.values.rows import Rows, missing_said
from comity.values.seed import derive
from comity.values.site import Site, Work
from comity.values.strategy import Given, Memory, Network, Steps
from comity.values.tree import Array, Tree


def first(experiment: Experiment, sites: int, start: Tree | None = None) -> Any:
    """The state before the first round, of a network of so many sites.

    start: the model's parameters to begin with; fresh ones from the experiment's seed when None.
    """
    model = experiment.model
    params = start if start is not None else model.init(experiment.seed) if model else {}
    state = experiment.strategy.init(params, Network(sites=sites))
    if not is_dataclass(state):
        raise _odd(experiment, "init", "a state, a frozen dataclass", state)
    return state


def local(experiment: Experiment, state: Any, memory: Memory, *, site: Site, work: Work | None) -> Given | Steps:
    """A site's part of a round, with the round's work brought to it; `given` says whether it is one."""
    return experiment.strategy.local(state, own(memory), site if work is None else site.bound(work))


def work(
    experiment: Experiment, model: Model, name: str, *, round: int, run: RunTraining, random: Random
) -> Work | None:
    """The model and recipe brought to a site for one round (1 is the first).

    random: where differential privacy's samples and noise come from: the system, or in a simulation the seed.
    """
    if experiment.train is None:
        return None
    seed = derive(experiment.seed, "round", round, name)
    if experiment.record_dp is None:
        return Work(model, experiment.train, seed, run)
    if round > experiment.rounds:
        raise InvalidInput(f"RecordDP accounts for {experiment.rounds} rounds, and this would be round {round}")
    strategy = type(experiment.strategy).__name__
    sealed = f"{strategy} reads rows or gradients itself, which RecordDP neither clips nor noises"
    return Work(model, experiment.train, seed, _privately(experiment, run, random), sealed)


def given(experiment: Experiment, gave: Any, *, clip: float | None) -> Given:
    """What `local` returned, if it is (contribution, memory); the contribution within the clip of SiteDP, if any."""
    match gave:
        case (Contribution() as contribution, Mapping() as memory):
            if (dp := experiment.site_dp) is not None:
                contribution = dp.bounded(contribution, dp.limit(clip))
            return contribution, memory
        case _:
            raise _odd(experiment, "local", "(contribution, memory), a co.Contribution and a tree", gave)


def following(experiment: Experiment, state: Any, total: Contribution | Sequence[Contribution]) -> Any:
    """The next state, from the sum of a round's contributions; or for a strategy that sees each, from them all."""
    strategy: Any = experiment.strategy
    made = strategy.step(state, total)
    if type(made) is not type(state):
        raise _odd(experiment, "step", f"the next {type(state).__name__}, as init does", made)
    return made


def first_clip(experiment: Experiment) -> float | None:
    """The clip of SiteDP in the first round; None without it."""
    return None if experiment.site_dp is None else experiment.site_dp.clip


def released(
    experiment: Experiment, total: Contribution, clip: float | None, *, random: Random | None
) -> tuple[Contribution, float | None]:
    """(the sum as everybody may see it, SiteDP's clip of the next round).

    random: where the noise comes from; None where the sites have added theirs.
    """
    dp = experiment.site_dp
    if dp is None or clip is None:
        return total, None
    return dp.adapted(dp.released(total, clip, rounds=experiment.rounds, random=random), clip)


def measured(
    experiment: Experiment, state: Any, memory: Memory, *, site: Site, model: Model | None
) -> dict[str, Contribution]:
    """What each metric takes of the model at a site; nothing where the site has no test rows."""
    if site.test is None or not len(site.test):
        return {}
    predict = experiment.strategy.predict if model is None else model.predict
    with missing_said(site.test, f"test rows of site {site.name!r}"):
        predictions = predict(experiment.strategy.model(state, own(memory)), site.test.x)
        return {metric.name: _part(metric, predictions, site.test) for metric in experiment.measures}


def measured_of_none(
    experiment: Experiment, state: Any, memory: Memory, *, site: Site, model: Model | None
) -> dict[str, Contribution]:
    """What each metric takes of no rows: what a site without test rows puts into a secure sum, unseen like all others.

    Raises InvalidInput, naming the metric, for one that cannot be of none.
    """
    none = site.train.take(np.arange(0))
    predict = experiment.strategy.predict if model is None else model.predict
    made: dict[str, Contribution] = {}
    for metric in experiment.measures:
        try:
            made[metric.name] = metric.local(predict(experiment.strategy.model(state, own(memory)), none.x), none)
        except (InvalidInput, ValueError, IndexError, ZeroDivisionError) as error:
            raise InvalidInput(
                f"site {site.name!r} has no test rows, and metric {metric.name} cannot be of none: {error}"
            ) from error
    return made


def _privately(experiment: Experiment, run: RunTraining, random: Random) -> RunTraining:
    """Trainings by DP-SGD, as many as are accounted for."""
    strategy, left = experiment.strategy, experiment.strategy.fits
    assert experiment.record_dp is not None
    dp = experiment.record_dp

    def privately(training: Training) -> Fit:
        nonlocal left
        if (left := left - 1) < 0:
            name = type(strategy).__name__
            raise NotSupported(
                f"{name} trains more often in a round than RecordDP accounts for; say in it fits: ClassVar[int] = ..."
            )
        x = training.rows.x
        if x.dtype.kind == "f" and not np.isfinite(x).all():  # each would count as nothing, and nobody would know
            raise InvalidInput("x holds numbers that are not finite")
        mechanism = dp.mechanism(len(training.rows), training.train, experiment.trainings)
        return run(replace(training, dp_sgd=dp.dp_sgd(mechanism, random)))

    return privately


def _part(metric: Metric, predictions: Array, rows: Rows) -> Contribution:
    try:
        part = metric.local(predictions, rows)
    except InvalidInput as error:
        raise InvalidInput(f"metric {metric.name}: {error}") from error
    # A function of the user's own may be NaN where the rows are to blame, and would be left out.
    if not part.weight and np.isnan(np.asarray(predictions)).any():
        raise InvalidInput(f"metric {metric.name}: the predictions hold NaN")
    return part


def _odd(experiment: Experiment, method: str, wanted: str, got: object) -> InvalidInput:
    kinds = ", ".join(a(each) for each in got) if isinstance(got, tuple) else ""
    returned = f"({kinds})" if kinds else "nothing" if got is None else a(got)
    return InvalidInput(f"{type(experiment.strategy).__name__}.{method} must return {wanted}; it returned {returned}")
