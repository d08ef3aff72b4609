"""The stages of a round, each by itself: the first state, a site's part, the next state, the model's metrics.

They are what a simulation runs one after the other in one process, and what a network runs as tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from comity.engine.experiment import Experiment
from comity.engine.plain import RunTraining
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, a
from comity.values.metric import Metric
from comity.values.model import Model
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
    return experiment.strategy.local(state, memory, site if work is None else site.bound(work))


def work(experiment: Experiment, model: Model, name: str, *, round: int, run: RunTraining) -> Work | None:
    """The model and recipe brought to a site for one round (1 is the first)."""
    if experiment.train is None:
        return None
    return Work(model, experiment.train, derive(experiment.seed, "round", round, name), run)


def given(experiment: Experiment, gave: Any) -> Given:
    """What `local` returned, if it is (contribution, memory)."""
    match gave:
        case (Contribution() as contribution, Mapping() as memory):
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


def measured(
    experiment: Experiment, state: Any, memory: Memory, *, site: Site, model: Model | None
) -> dict[str, Contribution]:
    """What each metric takes of the model at a site; nothing where the site has no test rows."""
    if site.test is None or not len(site.test):
        return {}
    predict = experiment.strategy.predict if model is None else model.predict
    with missing_said(site.test, f"test rows of site {site.name!r}"):
        predictions = predict(experiment.strategy.model(state, memory), site.test.x)
        return {metric.name: _part(metric, predictions, site.test) for metric in experiment.measures}


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
