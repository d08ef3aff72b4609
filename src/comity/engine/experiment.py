"""An experiment: everything that decides a result, but for the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from comity.engine.names import public_name
from comity.engine.stopping import EarlyStopping
from comity.metrics.mean import Mean
from comity.values.digest import Digest
from comity.values.errors import InvalidInput, NotSupported, unknown
from comity.values.metric import Metric
from comity.values.model import Model, Train
from comity.values.strategy import SeesEach, Strategy
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Model, local training, strategy, evaluation and rounds: one immutable value.

    Raises InvalidInput or NotSupported, in one sentence, when its parts do not fit together.

    >>> from comity.strategies.cox import CoxRegression
    >>> Experiment(strategy=CoxRegression(l2=0.01), rounds=20).rounds
    20
    """

    strategy: Strategy | SeesEach
    model: Model | None = None
    """None for strategies that are a model in themselves."""
    train: Train | None = None
    metrics: Sequence[Metric | Callable[..., float]] = ()
    """A plain function f(y, predictions) gives a mean over sites and is called that."""
    rounds: int = 1
    seed: int = 0
    quorum: float = 1
    """The least a round needs: a number of sites, or below 1 the share of those selected."""
    evaluate_every: int = 1
    """Evaluate after every so many rounds, and always after the last."""
    best: str | None = None
    """Keep the model of the round that is best by this metric over all sites; None keeps the last."""
    stop: EarlyStopping | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(m if isinstance(m, Metric) else Mean(m) for m in self.metrics))
        _check_numbers(self)
        _check_metrics(self)
        _check_needs(self)

    def metric(self, name: str) -> Metric:
        """The metric of this name; raises InvalidInput, with the nearest name, when there is none."""
        for metric in self.measures:
            if metric.name == name:
                return metric
        raise unknown("metric", name, [metric.name for metric in self.measures])

    @property
    def digest(self) -> Digest:
        """The digest of the canonical JSON; raises NotSupported for lambdas and closures."""
        from comity.engine.document import experiment_digest

        return experiment_digest(self)

    def to_json(self) -> str:
        """Canonical JSON; raises NotSupported for lambdas and closures. `co.experiment(text)` reads it."""
        from comity.engine.document import to_json

        return to_json(self)

    @property
    def measures(self) -> tuple[Metric, ...]:
        """The metrics, plain functions wrapped."""
        return tuple(metric for metric in self.metrics if isinstance(metric, Metric))

    def predict(self, params: Tree, x: Array) -> Array:
        """Predictions of the model, or of a strategy that is one, for x (n, ...)."""
        return self.strategy.predict(params, x) if self.model is None else self.model.predict(params, x)

    def quorum_of(self, selected: int) -> int:
        """How many sites a round needs when this many were selected."""
        return max(1, math.ceil(self.quorum * selected)) if self.quorum < 1 else int(self.quorum)


def _check_numbers(experiment: Experiment) -> None:
    whole: dict[str, Any] = {"rounds": experiment.rounds, "evaluate_every": experiment.evaluate_every}
    for name, value in whole.items():
        if not isinstance(value, int) or value < 1:
            raise InvalidInput(f"{name} must be a whole number of at least 1, not {value!r}")
    quorum = experiment.quorum
    if quorum <= 0 or (quorum >= 1 and quorum != int(quorum)):
        raise InvalidInput(f"quorum must be a number of sites, or a share above 0 and below 1, not {quorum}")


def _check_metrics(experiment: Experiment) -> None:
    names = [metric.name for metric in experiment.measures]
    double = next((name for name in names if names.count(name) > 1), None)
    if double:
        raise InvalidInput(f"two metrics are called {double!r}; give each metric once")
    if experiment.best is not None:
        experiment.metric(experiment.best)
    if experiment.stop is not None:
        experiment.metric(experiment.stop.metric)


def _check_needs(experiment: Experiment) -> None:
    strategy, model, train = experiment.strategy, experiment.model, experiment.train
    if not isinstance(strategy, Strategy | SeesEach):
        raise InvalidInput(f"strategy must be a strategy such as co.FedAvg(), not {strategy!r}")
    name = type(strategy).__name__
    if model is None:
        if strategy.needs:
            raise InvalidInput(f"{name} trains a model; give the experiment model=... and train=...")
        return
    if not isinstance(model, Model):
        raise InvalidInput(f"model must be a model such as co.numpy.Linear(...), not {model!r}")
    if train is None:
        raise InvalidInput("a model needs a recipe: give the experiment train=co.Train(optimizer=..., steps=...)")
    for ability in sorted(strategy.needs):
        if ability not in model.can:
            raise NotSupported(f"{name} needs {ability.value}, which co.{public_name(type(model))} cannot do")
        if ability not in model.accepts(train):
            raise NotSupported(f"{name} needs {ability.value}, which does not go with {train.optimizer}")
    model.accepts(train)
