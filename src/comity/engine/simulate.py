"""Run an experiment over sites in this process."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, final

from threadpoolctl import threadpool_limits

from comity.engine.dropout import Dropout
from comity.engine.experiment import Experiment
from comity.engine.history import Round
from comity.engine.plain import Plain
from comity.engine.promises import statements
from comity.engine.resume import checkpoint, owner, taken_up
from comity.engine.rounds import Course, Engine, Standing
from comity.engine.run import Run
from comity.engine.sites import POOLED, Sites
from comity.ports.checkpoints import Checkpoints
from comity.ports.memories import Memories, MemoriesInMemory
from comity.values.errors import InvalidInput, unknown

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
    memories: Memories = field(default_factory=MemoriesInMemory)
    """Where the federated run's memories lie; those of baselines lie in working memory."""
    checkpoints: Checkpoints | None = None
    """Where the federated run is kept after every round, and taken up again if it is there."""
    observe: Observe | None = None
    tests: Sites | None = None
    """Whose test rows the model is measured on; the sites' own, unless given."""

    def __post_init__(self) -> None:
        for baseline in self.baselines:
            if baseline not in BASELINES:
                raise unknown("baseline", baseline, BASELINES)
        if isinstance(self.engine, type):
            raise InvalidInput(f"give the engine itself, co.{self.engine.__name__}(), not its class")
        if not hasattr(self.engine, "locals"):
            raise InvalidInput(f"engine must be co.Plain() or co.Auto(), not {self.engine!r}")
        if not isinstance(self.dropout, Dropout):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"dropout must be one such as co.Dropout(probability=0.3), not {self.dropout!r}")


def simulate(experiment: Experiment, sites: Sites, how: Simulation) -> Run:
    """The run of an experiment over sites, with the baselines asked for.

    Raises RoundFailed when a round has too few sites, and what the user's code raises, with the site
    and the round in a note.
    """
    check_numbers(experiment, len(sites))
    _check_dropout(how.dropout, sites)
    if how.tests is not None:
        how.tests.expect("the training rows", sites.columns)
    with threadpool_limits(1):
        run = _run(experiment, sites, how, name=FEDERATED)
        return replace(run, baselines=_baselines(experiment, sites, how))


def _baselines(experiment: Experiment, sites: Sites, how: Simulation) -> dict[str, Run]:
    alone = replace(how, dropout=Dropout(), checkpoints=None, tests=how.tests or sites)
    single = replace(experiment, quorum=1, privacy=(), compression=None)
    made: dict[str, Run] = {}

    def add(name: str, only: Sites) -> None:
        made[name] = _run(single, only, replace(alone, memories=MemoriesInMemory()), name=name)

    if "local" in how.baselines:
        for name in sites.given_order:
            add(name, Sites([sites.load(name)]))
    if POOLED in how.baselines:
        add(POOLED, Sites([sites.pooled()]))
    return made


def _run(experiment: Experiment, sites: Sites, how: Simulation, *, name: str) -> Run:
    course = Course(
        experiment=experiment,
        sites=sites,
        tests=how.tests or sites,
        engine=how.engine,
        memories=how.memories,
        dropout=how.dropout,
    )
    standing, save = _begun(course, how.checkpoints)
    course.memories.rewind(standing.round)
    for standing in course.rounds(standing):  # noqa: B020, the standing left is where the run ended
        save(standing)
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
        columns=course.sites.columns,
        engine=_facts(course),
        statements=statements(experiment, sites, standing.history),
    )


def _begun(course: Course, checkpoints: Checkpoints | None) -> tuple[Standing, Callable[[Standing], None]]:
    """Where the run begins or goes on, and how to keep where it stands."""
    standing = course.begin()
    if checkpoints is None:
        return standing, lambda standing: None
    whose, kept = owner(course), 0

    def save(standing: Standing) -> None:
        nonlocal kept
        checkpoints.save(checkpoint(whose, standing, kept))
        kept = standing.round

    found = checkpoints.load()
    if found is not None:
        standing = taken_up(found, whose, standing, course.memories)
        kept = standing.round
        course.sites.expect("the rows the run was begun with", standing.columns)
        return standing, save
    # Kept before the first round too, so that a run killed in it can be taken up like any other.
    save(standing)
    return standing, save


def _facts(course: Course) -> dict[str, Any]:
    used = [name for name, module in LIBRARIES.items() if module in sys.modules]
    return {
        "engine": repr(course.engine),
        "threads": 1,
        "trainings": dict(course.tally),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ["comity", *used]}},
    }


def check_numbers(experiment: Experiment, sites: int) -> None:
    """Raise InvalidInput where a round can never have the sites, of so many, that the experiment asks for."""
    drawn: int = getattr(experiment.strategy, "sites_per_round", 0)
    if drawn > sites:
        raise InvalidInput(f"sites_per_round is {drawn} but there are {sites} sites; lower it, or leave it out")
    if (secure := experiment.secure_sum) is not None:
        secure.needed(drawn or sites)
    if experiment.quorum > (most := drawn or sites):
        raise InvalidInput(f"the quorum is {experiment.quorum:g} but a round has at most {most} sites; lower it")


def _check_dropout(dropout: Dropout, sites: Sites) -> None:
    for names in dropout.schedule.values():
        for name in names:
            if name not in sites:
                raise unknown("site", name, sites.names)
