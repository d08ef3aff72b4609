"""What a process of the playground is asked to do, and what it says meanwhile: one line of JSON each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import msgspec

from comity.engine.history import Round
from comity.engine.simulate import Simulation, simulate
from comity.faces.playground.data_sets import load
from comity.faces.playground.experiment import arranged, methods
from comity.faces.playground.query import settings_from
from comity.values.errors import InvalidInput
from comity.values.rows import Rows

LONGEST = 1 << 16
"""Bytes of a line."""

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB")}
"""What its environment must say, for threads may not be forked."""


@final
class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method under one seed of the settings that a query leads to."""

    query: str
    method: str
    seed: int
    cpu_seconds: int


@final
class Point(msgspec.Struct, frozen=True, tag="point"):
    """A round was done, and this is how the model then did on the validation rows."""

    round: int
    scores: dict[str, float]


@final
class Done(msgspec.Struct, frozen=True, tag="done"):
    """All rounds are done."""

    digest: str
    """Of the model."""


@final
class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot be done, or not further."""

    why: str


Said: TypeAlias = Point | Done | Failed

asked = msgspec.json.Decoder(Asked)
said: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)


def line(message: Asked | Said) -> bytes:
    """A message as its line.

    >>> line(Failed("no rows"))
    b'{"type":"failed","why":"no rows"}\\n'
    """
    return msgspec.json.encode(message) + b"\n"


def perform(asked: Asked, tell: Callable[[Said], None], data: Callable[[str], tuple[Rows, Rows]] = load) -> None:
    """Run it through the engine, and tell every round as it comes."""
    settings = settings_from(asked.query)
    if asked.method not in methods(settings) or asked.seed not in settings.seeds:
        raise InvalidInput(f"there is no {asked.method} with the seed {asked.seed} among these settings")
    rows, validation = data(settings.data)
    experiment, sites, tests = arranged(settings, asked.method, seed=asked.seed, rows=rows, validation=validation)

    def observe(name: str, done: Round) -> None:
        tell(Point(done.number, dict(done.pooled or {})))

    run = simulate(experiment, sites, Simulation(tests=tests, observe=observe))
    tell(Done(run.digest))
