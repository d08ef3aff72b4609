"""Strategies driven by the smallest possible loop, sites that learn what they are told, sites that drift apart."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import comity as co
from comity.frameworks.numpy import Linear
from comity.values.contribution import gather
from comity.values.model import Fit, Train, Training
from comity.values.optimizer import SGD
from comity.values.rows import Rows
from comity.values.site import Site, Work
from comity.values.strategy import Network, Strategy
from comity.values.tree import Tree


def drive(strategy: Strategy, sites: Sequence[Rows]) -> Any:
    named = [Site(f"site {i}", rows) for i, rows in enumerate(sites)]
    state = strategy.init({}, Network(len(named)))
    for _ in range(120):
        if strategy.finished(state):
            return state
        state = strategy.step(state, gather([strategy.local(state, {}, site)[0] for site in named]))
    raise AssertionError("it never finishes")


def deal(rows: Rows, sites: int = 3) -> list[Rows]:
    where = np.random.default_rng(0).integers(sites, size=len(rows))
    return [rows.take(where == i) for i in range(sites)]


@pytest.fixture
def analyze() -> Callable[..., Any]:
    """The final state of a strategy over these sites' rows: `analyze(strategy, rows, ...)`."""
    return lambda strategy, *sites: drive(strategy, sites)


@pytest.fixture
def dealt() -> Callable[..., list[Rows]]:
    """Rows dealt to three sites at random: `dealt(rows)`."""
    return deal


@pytest.fixture
def told() -> Callable[..., Site]:
    """A site whose training ends where it is told: `told(lambda training: params, rows=, steps=, lr=)`."""

    def make(
        learned: Callable[[Training], Tree], *, rows: int = 1, steps: int = 1, lr: float = 1.0, optimizer: Any = None
    ) -> Site:
        def run(training: Training) -> Fit:
            return Fit(learned(training), rows, steps, steps * lr, 0.0)

        train = Train(optimizer=optimizer or SGD(lr=lr), steps=steps)
        return Site("A", train=np.zeros((rows, 1))).bound(Work(Linear(features=1), train, seed=0, run=run))

    return make


@pytest.fixture
def apart() -> list[Site]:
    """Three sites of 10, 20 and 60 rows whose own least-squares optima lie far from each other's."""
    generator, made = np.random.default_rng(3), list[Site]()
    for name, rows, slope in (("A", 10, -2.0), ("B", 20, 1.0), ("C", 60, 3.0)):
        x = generator.normal(0, (1.0, 0.5 + abs(slope) / 3), (rows, 2))
        made.append(Site(name, train=(x, x @ np.array([slope, 1.0]) + slope)))
    return made


@pytest.fixture
def optimum(apart: list[Site]) -> np.ndarray[Any, Any]:
    """Weights and bias (3,) that fit the pooled rows best, by the normal equations."""
    x = np.concatenate([np.column_stack([site.train.x, np.ones(len(site.train))]) for site in apart])
    return np.linalg.solve(x.T @ x, x.T @ np.concatenate([site.train.targets for site in apart]))


@pytest.fixture
def distance(apart: list[Site], optimum: np.ndarray[Any, Any]) -> Callable[..., float]:
    """How far from that optimum a strategy ends: `distance(strategy, train, rounds)`."""

    def measure(strategy: Any, train: Train, rounds: int) -> float:
        experiment = co.Experiment(model=Linear(features=2), train=train, strategy=strategy, rounds=rounds)
        model = co.simulate(experiment, apart, progress=False).model
        return float(np.linalg.norm(np.append(np.asarray(model["weight"]), np.asarray(model["bias"])) - optimum))

    return measure
