"""An experiment as a plan that grows: its functions, and what a node needs to know to conduct its rounds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isgeneratorfunction
from typing import NoReturn, cast, final

from comity.domain.events import FunctionInput, FunctionOutput, Growth, Masking, SiteData, SiteNoise, Stop
from comity.domain.words import Stage
from comity.engine import foreseen
from comity.engine.experiment import Experiment
from comity.engine.simulate import check_numbers
from comity.privacy.site_dp import SiteDP
from comity.privacy.terms import Bits
from comity.privacy.vector import Layout
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, NotSupported
from comity.values.strategy import SeesEach

MODEL = FunctionInput(kind="ASSET_MODEL")
MEMORY = FunctionInput(kind="ASSET_MODEL", optional=True)
PARTS = FunctionInput(kind="ASSET_MODEL", multiple=True, optional=True)
DATA = {
    "opener": FunctionInput(kind="ASSET_DATA_MANAGER"),
    "datasamples": FunctionInput(kind="ASSET_DATA_SAMPLE", multiple=True),
}
TREE = FunctionOutput(kind="ASSET_MODEL", form="tree")
NUMBER = FunctionOutput(kind="ASSET_PERFORMANCE")

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.|-]{0,99}")

Signature = tuple[Mapping[str, FunctionInput], Mapping[str, FunctionOutput]]


@final
@dataclass(frozen=True, kw_only=True)
class Before:
    """What an experiment begins with."""

    start: str = ""
    """The key of a model; fresh parameters when empty."""
    continues: str = ""
    """The plan whose rounds go on; `start` is then the whole state after them."""
    rounds: int = 0
    memories: Mapping[str, str] = field(default_factory=dict[str, str])
    """The models that hold what sites remembered then."""


def signatures(experiment: Experiment) -> dict[Stage, Signature]:
    """Inputs and outputs of the function of each stage, but for sums, which every channel has.

    Raises NotSupported for an experiment that only a simulation can run.
    """
    _check(experiment)
    metrics = {metric.name: NUMBER for metric in experiment.measures}
    finished = {"finished": NUMBER} if _finishes(experiment) else {}
    total = {"parts": PARTS} if isinstance(experiment.strategy, SeesEach) else {"total": MODEL}
    made: dict[Stage, Signature] = {
        "init": ({"start": MEMORY}, {"state": TREE}),
        "local": ({**DATA, "state": MODEL, "memory": MEMORY}, {"contribution": TREE, "memory": TREE}),
        "step": ({"state": MODEL, **total}, {"state": TREE, **finished}),
    }
    if metrics:
        shown = {} if experiment.secure_sum else metrics
        made["evaluate"] = ({**DATA, "state": MODEL, "memory": MEMORY}, {"scores": TREE, **shown})
        made["finish"] = ({"total": MODEL}, metrics)
    return made


def growth(
    experiment: Experiment,
    sites: Mapping[str, SiteData],
    functions: Mapping[Stage, str],
    *,
    aggregator: str,
    deadline: float,
    retries: int,
    before: Before,
) -> Growth:
    """How the plan grows. deadline: seconds.

    Raises NotSupported, or InvalidInput, where so many sites besides the aggregator's own cannot be summed securely.
    """
    strategy, stop = experiment.strategy, experiment.stop
    chosen = selected(experiment, sorted(sites))
    noise: SiteNoise | None = None
    if (secure := experiment.secure_sum) is not None:
        layout = None if (dp := experiment.site_dp) is None else _layout(experiment, len(sites))
        for each in chosen or (tuple(sites),):
            needed = secure.needed(sum(site != aggregator for site in each))
            if layout is not None:
                _check_noise(experiment, layout.numbers, survivors=needed, sites=len(each))
        noise = None if dp is None or layout is None else _noise(dp, layout)
    return Growth(
        experiment=experiment.to_json(),
        sites=dict(sites),
        aggregator=aggregator,
        functions=dict(functions),
        rounds=experiment.rounds,
        selected=chosen,
        quorum=repr(float(experiment.quorum)),
        sees_each=isinstance(strategy, SeesEach),
        finishes=_finishes(experiment),
        metrics=tuple(metric.name for metric in experiment.measures),
        evaluate_every=experiment.evaluate_every,
        keep=experiment.best is not None,
        stop=stop
        and Stop(
            metric=stop.metric,
            goal=experiment.metric(stop.metric).goal,
            patience=stop.patience,
            min_delta=repr(float(stop.min_delta)),
        ),
        deadline=round(deadline * 1000),
        retries=retries,
        start=before.start,
        continues=before.continues,
        after=before.rounds,
        memories=dict(before.memories),
        masking=_masking(experiment, noise),
    )


def selected(experiment: Experiment, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Who of these sites, in order of name, takes part in each round; nothing when all always do.

    Raises NotSupported where that hangs on the state, InvalidInput where a round selects too few, or others.
    """
    check_numbers(experiment, len(names))
    every = [_selected(experiment, number, names) for number in range(1, experiment.rounds + 1)]
    for number, each in enumerate(every, 1):
        if not each or not set(each) <= set(names):
            raise InvalidInput(f"{type(experiment.strategy).__name__}.select gives {list(each)} of {list(names)}")
        if (quorum := experiment.quorum_of(len(each))) > len(each):
            raise InvalidInput(f"the quorum is {quorum} but round {number} selects {len(each)} sites; lower it")
    return () if all(each == tuple(names) for each in every) else tuple(every)


def _masking(experiment: Experiment, noise: SiteNoise | None) -> Masking | None:
    secure = experiment.secure_sum
    if secure is None:
        return None
    return Masking(
        bits=cast(Bits, secure.bits),
        clip=repr(float(secure.clip)),
        norm="inf" if secure.norm is None else repr(float(secure.norm)),
        max_weight=secure.max_weight,
        least=secure.least,
        metric_limit=repr(float(secure.metric_limit)),
        exact=experiment.model is None,
        noise=noise,
    )


def _layout(experiment: Experiment, sites: int) -> Layout:
    """Of what each site will give to a masked sum; raises NotSupported where that hangs on its data."""
    return Layout.of(Contribution({"total": foreseen.contribution(experiment, sites).total}, 1))


def _noise(dp: SiteDP, layout: Layout) -> SiteNoise:
    return SiteNoise(
        epsilon="inf" if dp.epsilon is None else repr(float(dp.epsilon)),
        multiplier="0.0" if dp.noise_multiplier is None else repr(float(dp.noise_multiplier)),
        delta=repr(float(dp.delta)),
        clip=repr(float(dp.clip)),
        arrays=layout.arrays,
        colluding=dp.colluding,
    )


def _check_noise(experiment: Experiment, numbers: int, *, survivors: int, sites: int) -> None:
    """Raise InvalidInput where no noise of so many numbers keeps the budget, or where it does not fit the ring."""
    dp, secure = experiment.site_dp, experiment.secure_sum
    if dp is not None and secure is not None:
        noise = dp.noise(survivors=survivors, coordinates=numbers, rounds=experiment.rounds)
        dp.scale(noise, bits=secure.bits, sites=sites)


def _check(experiment: Experiment) -> None:
    strategy = experiment.strategy
    name = type(strategy).__name__
    if isgeneratorfunction(type(strategy).local):
        raise NotSupported(f"{name} sums many times within a round, which networks do not do yet; use co.simulate")
    if (dp := experiment.record_dp) is not None and dp.promised() is None:
        raise NotSupported("on a network nobody knows a site's rows but itself, so say RecordDP(epsilon=...)")
    experiment.to_json()  # says how to move what has no name
    for metric in experiment.measures:
        if not NAME.fullmatch(metric.name) or metric.name in ("scores", "total"):
            raise InvalidInput(f"a metric is called {metric.name!r}; call it by letters, digits and _ for a network")


def _finishes(experiment: Experiment) -> bool:
    own = type(experiment.strategy)
    return all(own.finished is not plain.finished for plain in own.__mro__[1:] if hasattr(plain, "finished"))


def _selected(experiment: Experiment, number: int, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({*experiment.strategy.select(_Unread(), number, names, experiment.seed)}))


@final
class _Unread:
    """In place of a state that nobody has yet."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotSupported("on a network, select may look at round, sites and seed, but not at the state")
