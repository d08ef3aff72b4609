"""A strategy driven by the smallest possible loop: no engine, no metrics, no model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from comity.values.contribution import gather
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.strategy import Network, Strategy


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
