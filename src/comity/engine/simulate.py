"""Run an experiment over sites in this process."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from inspect import getsource
from typing import Any, final

from threadpoolctl import threadpool_limits

from comity.engine.document import encode
from comity.engine.dropout import Dropout
from comity.engine.experiment import Experiment
from comity.engine.history import Round, round_from
from comity.engine.names import reference
from comity.engine.plain import Plain
from comity.engine.rounds import Course, Engine, Standing
from comity.engine.run import Run
from comity.engine.sites import POOLED, Sites
from comity.ports.checkpoints import Checkpoint, Checkpoints
from comity.ports.memories import Memories, MemoriesInMemory
from comity.values import record
from comity.values.digest import canonical, digest
from comity.values.errors import InvalidInput, NotSupported, unknown

BASELINES = ("local", POOLED)
"""Ways to run the same experiment without a federation: each site alone, and everybody's rows in one place."""

Observe = Callable[[str, Round], None]
"""Called after every round with what is being run ("federated", "pooled" or a site's name)."""

FEDERATED = "federated"

LIBRARIES = {"numpy": "numpy", "torch": "torch", "scikit-learn": "sklearn"}
"""Distributions whose versions a result records when their module was used."""


@final
@dataclass(frozen=True, kw_only=True)
class Simulation:
    """How an experiment is simulated; nothing here changes what it means."""

    engine: Engine = field(default_factory=Plain)
    baselines: Sequence[str] = ()
    """Any of "local" and "pooled"."""
    dropout: Dropout = field(default_factory=Dropout)
    memories: Callable[[], Memories] = MemoriesInMemory
    """Makes the place for sites' memories, one for each run."""
    checkpoints: Checkpoints | None = None
    """Where the federated run is kept after every round, and taken up again if it is there."""
    observe: Observe | None = None
    tests: Sites | None = None
    """Whose test rows the model is measured on; the sites' own, unless given."""

    def __post_init__(self) -> None:
        for baseline in self.baselines:
            if baseline not in BASELINES:
                raise unknown("baseline", baseline, BASELINES)


def simulate(experiment: Experiment, sites: Sites, how: Simulation) -> Run:
    """The run of an experiment over sites, with the baselines asked for.

    Raises RoundFailed when a round has too few sites, and what the user's code raises, with the site
    and the round in a note.
    """
    _check_dropout(how.dropout, sites)
    with threadpool_limits(1):
        run = _run(experiment, sites, how, name=FEDERATED)
        return replace(run, baselines=_baselines(experiment, sites, how))


def _baselines(experiment: Experiment, sites: Sites, how: Simulation) -> dict[str, Run]:
    alone = replace(how, dropout=Dropout(), checkpoints=None, tests=how.tests or sites)
    single = replace(experiment, quorum=1)
    made: dict[str, Run] = {}
    if "local" in how.baselines:
        for name in sites.given_order:
            made[name] = _run(single, Sites([sites.load(name)]), alone, name=name)
    if POOLED in how.baselines:
        made[POOLED] = _run(single, Sites([sites.pooled()]), alone, name=POOLED)
    return made


def _run(experiment: Experiment, sites: Sites, how: Simulation, *, name: str) -> Run:
    course = Course(
        experiment=experiment,
        sites=sites,
        tests=how.tests or sites,
        engine=how.engine,
        memories=how.memories(),
        dropout=how.dropout,
    )
    begun = course.begin()
    standing = begun if how.checkpoints is None else _resumed(how.checkpoints, course, begun)
    for standing in course.rounds(standing):  # noqa: B020, the standing left is where the run ended
        if how.checkpoints is not None:
            how.checkpoints.save(_checkpoint(course, standing))
        if how.observe is not None:
            how.observe(name, standing.history[-1])
    best = standing.best_round
    return Run(
        experiment=experiment,
        sites=sites.given_order,
        history=standing.history,
        state=standing.state if best is None else standing.best_state,
        round=standing.round if best is None else best,
        memories=course.memories,
        engine=_facts(course),
    )


def _checkpoint(course: Course, standing: Standing) -> Checkpoint:
    facts = {
        "experiment": fingerprint(course.experiment),
        "sites": digest(canonical(list(course.sites.names))),
        "best_round": standing.best_round,
        "history": [each.document() for each in standing.history],
    }
    arrays = {"state": record.to_tree(standing.state)}
    if standing.best_state is not None:
        arrays["best"] = record.to_tree(standing.best_state)
    return Checkpoint(facts, arrays)


def _resumed(checkpoints: Checkpoints, course: Course, fresh: Standing) -> Standing:
    found = checkpoints.load()
    if found is None:
        return fresh
    if found.facts["experiment"] != fingerprint(course.experiment):
        raise InvalidInput("the checkpoint is of another experiment; only `rounds` may differ. Give another directory")
    if found.facts["sites"] != digest(canonical(list(course.sites.names))):
        raise InvalidInput("the checkpoint was made with other sites; give the same sites or another directory")
    kind = type(fresh.state)
    arrays: Any = found.arrays
    return Standing(
        state=record.from_tree(kind, arrays["state"]),
        history=tuple(round_from(each) for each in found.facts["history"]),
        best_state=record.from_tree(kind, arrays["best"]) if "best" in arrays else None,
        best_round=found.facts["best_round"],
    )


def fingerprint(experiment: Experiment) -> str:
    """What tells an experiment from another on this machine, its number of rounds aside.

    Unlike its digest it also exists for lambdas and closures, which are known by their source.
    """
    return digest(canonical(encode(replace(experiment, rounds=1), _local_reference)))


def _local_reference(function: Callable[..., Any]) -> Mapping[str, str]:
    try:
        return reference(function)
    except NotSupported:
        try:
            source = getsource(function)
        except (OSError, TypeError):
            source = repr(getattr(function, "__qualname__", type(function).__name__))
        return {"callable": getattr(function, "__qualname__", "?"), "source": sha256(source.encode()).hexdigest()}


def _facts(course: Course) -> dict[str, Any]:
    libraries = [
        name for name in ("numpy", "torch", "scikit-learn") if name.replace("scikit-learn", "sklearn") in sys.modules
    ]
    return {
        "engine": repr(course.engine),
        "threads": 1,
        "trainings": dict(course.tally),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ["comity", *libraries]}},
    }


def _check_dropout(dropout: Dropout, sites: Sites) -> None:
    for names in dropout.schedule.values():
        for name in names:
            if name not in sites.names:
                raise unknown("site", name, sites.names)
