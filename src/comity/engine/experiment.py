"""An experiment: everything that decides a result, but for the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

from comity.engine.names import public_name
from comity.engine.stopping import EarlyStopping
from comity.metrics.mean import Mean
from comity.privacy.record_dp import RecordDP
from comity.privacy.secure_sum import SecureSum
from comity.privacy.site_dp import SiteDP
from comity.privacy.warning import warn
from comity.values import bounds
from comity.values.compression import Compression
from comity.values.digest import Digest
from comity.values.errors import InvalidInput, NotSupported, unknown
from comity.values.metric import Metric
from comity.values.model import Model, Train
from comity.values.quorum import enough
from comity.values.strategy import SeesEach, Strategy
from comity.values.transform import Transform
from comity.values.tree import Array, Tree

ROUNDS = 100
"""How many rounds a strategy that finishes by itself may take unless the user says so."""


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
    """How a site trains the model in one round."""
    metrics: Sequence[Metric | Callable[..., float]] = ()
    """A plain function f(y, predictions) is called as it is named, and gives a mean over sites."""
    rounds: int = cast(int, None)
    """At most; a strategy may be finished earlier, and `stop` may end a run. Given none, a model is trained for one
    round, while statistics and classical models may take 100 and take what they need."""
    seed: int = 0
    """All randomness follows from it; from 0 to 2^63 - 1."""
    quorum: float = 1
    """The least a round needs: a number of sites, or below 1 the share of those selected."""
    evaluate_every: int = 1
    """Evaluate after every so many rounds, and always after the last; with very many sites, seldom.

    All sites with test rows are measured, which takes longer than to train a sample of them.
    """
    best: str | None = None
    """Keep the model of the round that is best by this metric over all sites' test rows; None keeps the last.

    What is measured on those rows afterwards flatters the model, and the result says so: choose between
    experiments by `co.cross_validate`, or measure the model on other rows by `run.evaluate`.
    """
    stop: EarlyStopping | None = None
    """When to end before the last round, by the test rows too."""
    privacy: Sequence[Transform] = ()
    """What contributions go through before anybody else sees them, such as `co.privacy.SecureSum()`."""
    compression: Compression | None = None
    """How contributions are made smaller on their way, such as `co.compression.QSGD()`; None for as they are."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        object.__setattr__(self, "metrics", _measures(self.metrics))
        if self.rounds is None:
            object.__setattr__(self, "rounds", ROUNDS if self.model is None else 1)
        _check_numbers(self)
        _check_metrics(self)
        _check_needs(self)
        _check_privacy(self)
        _check_compression(self)

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
        """Canonical JSON; raises NotSupported for lambdas and closures. `co.read_experiment(text)` reads it."""
        from comity.engine.document import to_json

        return to_json(self)

    @property
    def measures(self) -> tuple[Metric, ...]:
        """The metrics, plain functions wrapped."""
        return tuple(metric for metric in self.metrics if isinstance(metric, Metric))

    @property
    def secure_sum(self) -> SecureSum | None:
        """How sums are made by secure aggregation; None when they are not."""
        return next((each for each in self.privacy if isinstance(each, SecureSum)), None)

    @property
    def record_dp(self) -> RecordDP | None:
        """How local training is made private; None when it is not."""
        return next((each for each in self.privacy if isinstance(each, RecordDP)), None)

    @property
    def site_dp(self) -> SiteDP | None:
        """How sums are made private; None when they are not."""
        return next((each for each in self.privacy if isinstance(each, SiteDP)), None)

    @property
    def trainings(self) -> int:
        """How often a site trains in all rounds, at most."""
        return self.rounds * self.strategy.fits

    def predict(self, params: Tree, x: Array) -> Array:
        """Predictions of the model, or of a strategy that is one, for x (n, ...)."""
        return self.strategy.predict(params, x) if self.model is None else self.model.predict(params, x)

    def quorum_of(self, selected: int) -> int:
        """How many sites a round needs when this many were selected, be it for a secure sum.

        Raises NotSupported where so many cannot be summed securely.
        """
        needed = enough(self.quorum, selected)
        return needed if self.secure_sum is None else max(needed, self.secure_sum.needed(selected))


def _measures(given: Any) -> tuple[Metric, ...]:
    if not isinstance(given, list | tuple):
        raise InvalidInput(f"metrics must be a list such as [co.metrics.accuracy], not {given!r}")
    return tuple(_measure(each) for each in given)  # pyright: ignore[reportUnknownVariableType]


def _measure(given: Metric | Callable[..., float]) -> Metric:
    if isinstance(given, Metric):
        return given
    if isinstance(given, type) or not callable(given):
        raise InvalidInput(f"a metric is one such as co.metrics.auc, or a function f(y, predictions), not {given!r}")
    return Mean(given)


def _check_numbers(experiment: Experiment) -> None:
    for name in ("rounds", "evaluate_every"):
        if not _is_whole(getattr(experiment, name), least=1):
            raise InvalidInput(f"{name} must be a whole number of at least 1, not {getattr(experiment, name)!r}")
    if not _is_whole(experiment.seed, least=0) or experiment.seed >= 2**63:
        raise InvalidInput(f"seed must be a whole number from 0 to 2^63 - 1, not {experiment.seed!r}")
    quorum: Any = experiment.quorum
    number = isinstance(quorum, int | float) and not isinstance(quorum, bool) and 0 < quorum < math.inf
    if not number or (quorum >= 1 and quorum != int(quorum)):
        raise InvalidInput(f"quorum must be a number of sites, or a share above 0 and below 1, not {quorum!r}")


def _is_whole(value: Any, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_metrics(experiment: Experiment) -> None:
    names = [metric.name for metric in experiment.measures]
    double = next((name for name in names if names.count(name) > 1), None)
    if double:
        raise InvalidInput(f"two metrics are called {double!r}; give each metric once")
    best, stop = experiment.best, experiment.stop
    if best is not None:
        if not isinstance(best, str):
            raise InvalidInput(f"best must be the name of one of the metrics, not {best!r}")
        experiment.metric(best)
    if stop is not None:
        if not isinstance(stop, EarlyStopping):
            raise InvalidInput(f"stop must be co.EarlyStopping(metric), not {stop!r}")
        experiment.metric(stop.metric)


def _check_needs(experiment: Experiment) -> None:
    strategy, model, train = experiment.strategy, experiment.model, experiment.train
    if not isinstance(strategy, Strategy | SeesEach):
        raise InvalidInput(f"strategy must be a strategy such as co.FedAvg(), not {strategy!r}")
    name = type(strategy).__name__
    if model is None:
        if strategy.needs:
            raise InvalidInput(f"{name} trains a model; give the experiment model=... and train=...")
        if train is not None:
            raise InvalidInput("there is a recipe train=... but no model to train; give model=... or leave it out")
        return
    if not strategy.needs and _is_itself(strategy):
        raise InvalidInput(f"{name} is a model or a statistic in itself; leave model= and train= out")
    if not isinstance(model, Model):
        raise InvalidInput(f"model must be a model such as co.numpy.Linear(...), not {model!r}")
    if train is None:
        raise InvalidInput("a model needs a recipe: give the experiment train=co.Train(optimizer=..., steps=...)")
    if not isinstance(train, Train):
        raise InvalidInput(f"train must be a recipe such as co.Train(optimizer=..., steps=...), not {train!r}")
    can = model.accepts(train)
    strategy.accepts(train)
    public = public_name(type(model))
    for ability in sorted(strategy.needs):
        if ability not in model.can:
            kind = f"co.{public}" if public else type(model).__name__
            raise NotSupported(f"{name} needs {ability.value}, which {kind} cannot do")
        if ability not in can:
            raise NotSupported(f"{name} needs {ability.value}, which does not go with {train.optimizer}")


def _check_privacy(experiment: Experiment) -> None:
    given: Any = experiment.privacy
    if not isinstance(given, list | tuple) or not all(isinstance(each, Transform) for each in given):
        raise InvalidInput(f"privacy must be a list such as [co.privacy.SecureSum()], not {given!r}")
    object.__setattr__(experiment, "privacy", tuple(given))
    kinds = [type(each) for each in experiment.privacy]
    if double := next((kind for kind in kinds if kinds.count(kind) > 1), None):
        raise InvalidInput(f"privacy holds two of {double.__name__}; give each once")
    for each in experiment.privacy:
        each.accepts(experiment.strategy, experiment.measures)
    if experiment.record_dp is not None and experiment.model is not None:
        experiment.model.accepts_dp_sgd()
    if (dp := experiment.site_dp) is not None:
        if experiment.record_dp is not None:
            raise NotSupported("RecordDP and SiteDP are not accounted for together; give one of them")
        if dp.quantile is not None and experiment.secure_sum is not None:
            raise NotSupported("under SecureSum the clip of SiteDP is not adapted; leave quantile out")
    warn(experiment.privacy)


def _check_compression(experiment: Experiment) -> None:
    if (compression := experiment.compression) is None:
        return
    if not isinstance(compression, Compression):
        raise InvalidInput(f"compression must be one such as co.compression.QSGD(), not {compression!r}")
    name = type(compression).__name__
    compression.accepts(experiment.strategy, experiment.measures)
    if experiment.secure_sum is not None:
        raise NotSupported(
            f"masked numbers are as wide as the ring that they are added in, which {name} does not change; "
            "take SecureSum(bits=16) with max_weight and clip as low as they may be, and leave compression out"
        )
    if experiment.site_dp is not None and compression.feeds_back:
        raise NotSupported(
            f"what {name} has kept back from earlier rounds would come on top of what SiteDP lets a site give in one; "
            "take error_feedback=False"
        )


def _is_itself(strategy: Strategy | SeesEach) -> bool:
    """Whether it predicts by itself or finds a table, so that a model beside it would not be looked at."""
    own, plain = type(strategy), (Strategy, SeesEach)
    return any(getattr(own, name) not in [getattr(each, name) for each in plain] for name in ("predict", "table"))
