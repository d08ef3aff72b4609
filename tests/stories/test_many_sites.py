"""Ten thousand sites, a hundred of them in each round: nothing is spent on the others."""

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import comity as co

SITES, SAMPLED, ROUNDS = 10_000, 100, 4
MANY = 11
"""Rounds in which memory is looked at: four to get warm, and seven to take the median of."""
FEATURES = 1_000
"""So that a hundred memories take 0.8 MB, and a round's could not be kept unseen."""

ONE = 4 * 8 * FEATURES
"""Bytes of a site's rows, memory and model."""

GROWTH = 20_000
"""Bytes allowed a round for what is recorded of it: three of a hundred memories would be more."""

each_strategy = pytest.mark.parametrize(
    "strategy", [co.FedAvg(sites_per_round=SAMPLED), co.Scaffold(sites_per_round=SAMPLED)], ids=["FedAvg", "SCAFFOLD"]
)


def site(name: str) -> co.Site:
    generator = np.random.default_rng(int(name))
    x = generator.normal(size=(2, FEATURES))
    return co.Site(name, (x, (x[:, 0] > 0).astype(float)))


def loaders(call: Callable[[str], co.Site]) -> dict[str, Callable[[], co.Site]]:
    return {name: partial(call, name) for name in (f"{number:05}" for number in range(SITES))}


def experiment(strategy: Any, rounds: int = ROUNDS) -> co.Experiment:
    return co.Experiment(
        model=co.numpy.Linear(FEATURES, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=1, steps=1),
        strategy=strategy,
        rounds=rounds,
    )


@each_strategy
def test_only_sampled_sites_are_loaded_and_each_once(strategy):
    loaded: list[str] = []

    def load(name: str) -> co.Site:
        loaded.append(name)
        return site(name)

    run = co.simulate(experiment(strategy), loaders(load))
    assert [len(each.included) for each in run.history] == [SAMPLED] * ROUNDS
    assert loaded == [name for each in run.history for name in each.included]
    assert max(Counter(loaded).values()) < 4


@each_strategy
def test_memory_does_not_grow_with_rounds(strategy):
    calls, traced, peaks = 0, list[int](), list[int]()

    def load(name: str) -> co.Site:
        nonlocal calls
        if calls % SAMPLED == 0:
            gc.collect()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
            traced.append(tracemalloc.get_traced_memory()[0])
        calls += 1
        return site(name)

    given = loaders(load)
    tracemalloc.start()
    try:
        co.simulate(experiment(strategy, MANY), given)
    finally:
        tracemalloc.stop()
    assert len(traced) == MANY
    assert np.median(np.subtract(peaks[5:], traced[4:-1])) < 10 * ONE, "one site is held at a time"
    # The median, for now and then the interpreter enlarges a table of its own.
    growth = np.median(np.diff(traced[4:]))
    assert growth < GROWTH, " ".join(f"{each / 1e6:.2f}" for each in traced)


def test_memories_lie_on_disk_and_go_with_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = co.simulate(experiment(co.Scaffold(sites_per_round=SAMPLED)), loaders(site))
    took_part = {name for each in run.history for name in each.included}
    assert len(_files(tmp_path)) >= len(took_part)
    assert all(run.memory(name) for name in list(took_part)[:20])
    assert run.memory(next(name for name in run.sites if name not in took_part)) == {}
    del run
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_strategy_without_memory_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = co.simulate(experiment(co.FedAvg(sites_per_round=SAMPLED)), loaders(site))
    assert _files(tmp_path) == []
    assert len(run.history) == ROUNDS


def test_the_report_of_many_sites_is_written_too(tmp_path):
    run = co.simulate(experiment(co.Scaffold(sites_per_round=SAMPLED)), loaders(site))
    assert "Scaffold over 10000 sites" in (run.save(tmp_path) / "summary.md").read_text()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
