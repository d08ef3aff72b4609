"""What a site will give to a round, but for its numbers: known before any site's data are looked at."""

from __future__ import annotations

import numpy as np

from comity.engine import stages
from comity.engine.experiment import Experiment
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.model import Fit, Training
from comity.values.rows import Rows
from comity.values.site import Site, Work


def contribution(experiment: Experiment, sites: int) -> Contribution:
    """A contribution with the names and shapes of each site's, of a network of so many; its numbers mean nothing.

    The strategy's own `local` makes it, of a training that changes nothing. Raises NotSupported for one that reads rows
    or takes gradients itself: what it gives might be shaped by them.
    """
    if experiment.model is None or experiment.train is None:
        raise InvalidInput("what a site gives is known beforehand only where it trains a model; give model and train")
    name = type(experiment.strategy).__name__
    sealed = f"{name} reads rows or gradients itself, so that names and shapes of what it gives may tell of them"
    alone = Site("nobody", train=Rows(np.zeros((1, 1)), np.zeros(1)))
    gave = stages.local(
        experiment,
        stages.first(experiment, sites),
        {},
        site=alone,
        work=Work(experiment.model, experiment.train, 0, _untrained, sealed),
    )
    return stages.given(experiment, gave, clip=stages.first_clip(experiment))[0]


def _untrained(training: Training) -> Fit:
    return Fit(params=training.params, rows=1, steps=1, lr_sum=1.0, loss=0.0)
