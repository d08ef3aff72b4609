"""Laws of every strategy that trains a model. A new strategy is one row in ROWS."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity import strategies
from comity.values import codec, tree
from comity.values.contribution import gather
from comity.values.model import Ability, Fit, Model, Train, Training
from comity.values.optimizer import SGD
from comity.values.record import from_tree, to_tree
from comity.values.rows import Rows
from comity.values.seed import batches, derive
from comity.values.site import Site, Work
from comity.values.strategy import Memory, Network, SeesEach, Strategy
from comity.values.tree import Array, Tree

SEED = 11
FULL = Train(optimizer=SGD(lr=0.05), batch_size=0, steps=4)
BATCHES = Train(optimizer=SGD(lr=0.05), batch_size=2, steps=5)


@final
@dataclass(frozen=True)
class LeastSquares(Model):
    """y ≈ x·w + b, in numpy; with `norm` also a shift beside a running mean, as batch norm has."""

    dtype: str = "float64"
    norm: bool = False

    @property
    def can(self) -> frozenset[Ability]:
        return frozenset(Ability)

    def accepts(self, train: Train) -> frozenset[Ability]:
        return self.can

    def init(self, seed: int) -> Tree:
        zero = np.zeros((), self.dtype)
        params: dict[str, Tree] = {"trunk": {"w": np.array([0.5, -0.5], self.dtype)}, "head": {"b": zero}}
        return {**params, "norm": {"shift": zero, "running_mean": zero}} if self.norm else params

    def fit(self, training: Training) -> Fit:
        optimizer, rows, params = training.train.optimizer, training.rows, training.params
        size, steps = training.train.size(len(rows)), training.train.count(len(rows))
        slots, losses = optimizer.start(list(tree.flatten(params).values())), []
        for index in batches(len(rows), size, steps, derive(training.seed, "batches")):
            grads, loss = self.gradient(params, rows.take(index))
            if training.correction is not None:
                grads = tree.add(grads, training.correction)
            if training.pull is not None:
                grads = tree.axpy(training.pull.strength, tree.sub(params, training.pull.to), grads)
            leaves, along = tree.flatten(params), tree.flatten(grads)
            made, slots = optimizer.step(list(leaves.values()), list(along.values()), slots, len(losses) + 1)
            moved = tree.like(tree.unflatten(dict(zip(leaves, made, strict=True))), params)
            if self.norm:
                mean = leaves["norm/running_mean"] * 0.9 + rows.take(index).x.mean() * 0.1
                moved = tree.like(tree.merge(moved, {"norm": {"running_mean": np.asarray(mean)}}), params)
            params = moved
            losses.append(loss)
        return Fit(params, len(rows), steps, steps * optimizer.lr, float(np.mean(losses)))

    def gradient(self, params: Tree, rows: Rows) -> tuple[Tree, float]:
        x = rows.x.astype(self.dtype)
        error = self.predict(params, x) - rows.targets.astype(self.dtype)  # (n,)
        grads: dict[str, Tree] = {"trunk": {"w": x.T @ error / len(x)}, "head": {"b": np.asarray(error.mean())}}
        if self.norm:
            grads["norm"] = {"shift": np.asarray(error.mean()), "running_mean": np.zeros((), self.dtype)}
        return grads, float(np.square(error).mean() / 2)

    def predict(self, params: Tree, x: Array) -> Array:
        leaves = tree.flatten(params)
        return x @ leaves["trunk/w"] + leaves["head/b"] + leaves.get("norm/shift", 0)


@dataclass(frozen=True)
class Row:
    strategy: Any
    alone: Any = None
    """The same with neutral hyper-parameters, with which one site alone is local training; None for none."""
    by_name: bool = False
    """Whether the order of names matters by definition."""
    norm: bool = False

    def model(self, dtype: str = "float64") -> LeastSquares:
        return LeastSquares(dtype, self.norm)


ROWS: Mapping[str, Row] = {
    "FedAvg": Row(strategies.FedAvg(), alone=strategies.FedAvg()),
    "FedAvg with momentum": Row(strategies.FedAvg(server_momentum=0.5)),
    "FedProx": Row(strategies.FedProx(mu=0.5), alone=strategies.FedProx(mu=0)),
    # The adaptive ones step by a length of their own, FedDyn beyond the mean: alone, too.
    "FedAdam": Row(strategies.FedAdam()),
    "FedYogi": Row(strategies.FedYogi()),
    "FedAdagrad": Row(strategies.FedAdagrad()),
    "FedDyn": Row(strategies.FedDyn(alpha=0.5)),
    "Scaffold": Row(strategies.Scaffold(), alone=strategies.Scaffold()),
    "FedNova": Row(strategies.FedNova(), alone=strategies.FedNova()),
    "Cyclic": Row(strategies.Cyclic(), alone=strategies.Cyclic(), by_name=True),
    "Cyclic, shuffled": Row(strategies.Cyclic(shuffled=True), alone=strategies.Cyclic(shuffled=True), by_name=True),
    "FedPer": Row(strategies.FedPer(personal=("head",)), alone=strategies.FedPer(personal=("head",))),
    "FedBN": Row(strategies.FedBN(), alone=strategies.FedBN(), norm=True),
    "Ditto": Row(strategies.Ditto(strength=0.5), alone=strategies.Ditto(strength=0)),
    "SharedTrunk": Row(strategies.SharedTrunk(trunk=("trunk",)), alone=strategies.SharedTrunk(trunk=("trunk",))),
    "Median": Row(strategies.Median(), alone=strategies.Median()),
    "TrimmedMean": Row(strategies.TrimmedMean(), alone=strategies.TrimmedMean()),
    "Krum": Row(strategies.Krum(), alone=strategies.Krum()),
    "multi-Krum": Row(strategies.Krum(keep=2), alone=strategies.Krum(keep=2)),
}

each = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
few = settings(max_examples=5, deadline=None, derandomize=True)


def hospitals() -> list[Site]:
    """Six sites of 3 to 8 rows that differ in their features and in what follows from them."""
    generator, made = np.random.default_rng(5), []
    for i, name in enumerate("abcdef"):
        x = generator.normal(i / 4, 1 + i / 5, (3 + i, 2))
        made.append(Site(name, train=(x, x @ np.array([1.0, i]) - i + generator.normal(0, 0.1, 3 + i))))
    return made


@dataclass(frozen=True)
class Standing:
    state: Any
    memories: Mapping[str, Memory] = field(default_factory=dict)
    rounds: int = 0


def begin(strategy: Any, model: Model, sites: Sequence[Site]) -> Standing:
    return Standing(strategy.init(model.init(SEED), Network(len(sites))))


def play(
    strategy: Any,
    model: Model,
    sites: Sequence[Site],
    rounds: int,
    *,
    train: Train = FULL,
    standing: Standing | None = None,
    away: Sequence[tuple[int, str]] = (),
) -> Standing:
    """The whole engine: select, local, sum, step. What is handed out cannot be written into."""
    standing, by_name = standing or begin(strategy, model, sites), {site.name: site for site in sites}
    for number in range(standing.rounds + 1, standing.rounds + rounds + 1):
        state, memories = standing.state, dict(standing.memories)
        for stored in (to_tree(state), *memories.values()):
            tree.map(lambda leaf: leaf.setflags(write=False) or leaf, stored)
        chosen = strategy.select(state, number, sorted(by_name), SEED)
        names = [name for name in chosen if (number, name) not in away]
        works = {name: Work(model, train, derive(SEED, "round", number, name), model.fit) for name in names}
        parts = finish(
            [strategy.local(state, memories.get(name, {}), by_name[name].bound(works[name])) for name in names]
        )
        memories.update({name: memory for name, (_, memory) in zip(names, parts, strict=True)})
        contributions = [contribution for contribution, _ in parts]
        if contributions:
            state = strategy.step(state, contributions if isinstance(strategy, SeesEach) else gather(contributions))
        standing = Standing(state, memories, number)
    return standing


def finish(parts: list[Any]) -> list[Any]:
    """What the sites return; generators are taken on together, each fed with the sum of what all yielded."""
    if not any(isinstance(part, Generator) for part in parts):
        return parts
    total, ended = None, list[Any]()
    while not ended:
        yielded = []
        for part in parts:
            try:
                yielded.append(part.send(total))
            except StopIteration as stop:
                ended.append(stop.value)
        total = gather(yielded) if yielded else None
    assert len(ended) == len(parts)
    return ended


def models(strategy: Any, standing: Standing, sites: Sequence[Site]) -> list[Tree]:
    """What each site is evaluated with."""
    return [strategy.model(standing.state, standing.memories.get(site.name, {})) for site in sites]


def close(left: Sequence[Tree], right: Sequence[Tree], rtol: float = 1e-9) -> None:
    for one, other in zip(left, right, strict=True):
        tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol) or a, one, other)


def kinds(stored: Tree) -> dict[str, tuple[Any, Any]]:
    return {path: (leaf.shape, leaf.dtype) for path, leaf in tree.flatten(stored).items()}


def bits(stored: Tree) -> dict[str, bytes]:
    return {path: leaf.tobytes() for path, leaf in tree.flatten(stored).items()}


def same_bits(left: Standing, right: Standing) -> None:
    assert bits(to_tree(left.state)) == bits(to_tree(right.state))
    assert {name: bits(memory) for name, memory in left.memories.items()} == {
        name: bits(memory) for name, memory in right.memories.items()
    }


def test_every_strategy_that_trains_a_model_has_a_row() -> None:
    known = {kind for name in strategies.__all__ if (kind := getattr(strategies, name)).needs}
    assert known == {type(row.strategy) for row in ROWS.values()}


@each
def test_a_strategy_is_a_value_that_prints_as_it_is_written(row: Row) -> None:
    assert eval(repr(row.strategy), vars(strategies).copy()) == row.strategy
    assert hash(replace(row.strategy)) == hash(row.strategy)
    assert isinstance(row.strategy, Strategy | SeesEach)
    with pytest.raises(AttributeError):
        row.strategy.server_lr = 2.0


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_and_dtypes_are_kept(row: Row, dtype: str) -> None:
    model, sites = row.model(dtype), hospitals()
    wanted = kinds(model.init(SEED))
    standing = play(row.strategy, model, sites, 3)
    for made in models(row.strategy, standing, sites):
        assert kinds(made) == wanted
        tree.check(made, "the model")
    arrays = [leaf for stored in (to_tree(standing.state), *standing.memories.values()) for leaf in floats(stored)]
    assert {leaf.dtype for leaf in arrays} <= {np.dtype(dtype)}


def floats(stored: Tree) -> list[Array]:
    """Arrays of parameters' dtype; numbers of a record are float64 without axes and not meant."""
    return [leaf for leaf in tree.flatten(stored).values() if leaf.dtype.kind == "f" and leaf.ndim]


@each
@few
@given(factor=st.integers(2, 7))
def test_weights_scale_out(row: Row, factor: int) -> None:
    sites = hospitals()
    many = [replace(s, train=s.train.take(np.tile(np.arange(len(s.train)), factor))) for s in sites]
    plain, scaled = (play(row.strategy, row.model(), each, 3) for each in (sites, many))
    close(models(row.strategy, plain, sites), models(row.strategy, scaled, many))


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.alone is not None])
def test_one_site_alone_equals_local_training(name: str) -> None:
    row, sites = ROWS[name], hospitals()[3:4]
    model, params = row.model(), row.model().init(SEED)
    for number in (1, 2, 3):
        seed = derive(SEED, "round", number, sites[0].name)
        params = model.fit(Training(params=params, rows=sites[0].train, train=BATCHES, seed=seed)).params
    standing = play(row.alone, model, sites, 3, train=BATCHES)
    close(models(row.alone, standing, sites), [params])


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.by_name])
@few
@given(order=st.permutations("abcdef"))
def test_relabelling_the_sites_changes_nothing(name: str, order: Sequence[str]) -> None:
    row, sites = ROWS[name], hospitals()
    renamed = [replace(site, name=name) for site, name in zip(sites, order, strict=True)]
    plain, other = (play(row.strategy, row.model(), each, 3) for each in (sites, renamed))
    close(models(row.strategy, plain, sites), models(row.strategy, other, renamed))


@each
def test_the_same_seed_gives_the_same_bits(row: Row) -> None:
    first, second = (play(row.strategy, row.model(), hospitals(), 4, train=BATCHES) for _ in range(2))
    same_bits(first, second)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_and_memory_are_stored_and_resumed_bit_for_bit(row: Row, dtype: str) -> None:
    model, sites = row.model(dtype), hospitals()
    straight = play(row.strategy, model, sites, 5, train=BATCHES)
    half = play(row.strategy, model, sites, 2, train=BATCHES)
    state = from_tree(type(half.state), codec.decode(codec.encode(to_tree(half.state))))
    memories = {name: codec.decode(codec.encode(memory)) for name, memory in half.memories.items()}
    resumed = play(row.strategy, model, sites, 3, train=BATCHES, standing=Standing(state, memories, 2))
    same_bits(straight, resumed)


@each
def test_state_and_memory_do_not_grow(row: Row) -> None:
    sites = hospitals()
    early = play(row.strategy, row.model(), sites, len(sites))
    late = play(row.strategy, row.model(), sites, 2 * len(sites), standing=early)
    assert kinds(to_tree(early.state)) == kinds(to_tree(late.state))
    assert {n: kinds(m) for n, m in early.memories.items()} == {n: kinds(m) for n, m in late.memories.items()}


def sampling(row: Row) -> Any:
    return replace(row.strategy, sites_per_round=2) if hasattr(row.strategy, "sites_per_round") else row.strategy


@pytest.mark.parametrize("name", [n for n, r in ROWS.items() if hasattr(r.strategy, "sites_per_round") or r.by_name])
def test_sites_not_drawn_are_not_touched(name: str) -> None:
    strategy, model, sites = sampling(ROWS[name]), ROWS[name].model(), hospitals()
    names = [site.name for site in sites]
    drawn = {n for number in (1, 2) for n in strategy.select(None, number, names, SEED)}
    assert list(strategy.select(None, 1, names, SEED)) == sorted(strategy.select(None, 1, names, SEED))
    assert 0 < len(drawn) < len(sites)
    broken = [s if s.name in drawn else replace(s, train=(np.full((1, 2), 1e9), np.ones(1))) for s in sites]
    standing = play(strategy, model, sites, 2)
    same_bits(standing, play(strategy, model, broken, 2))
    assert set(standing.memories) == drawn
    wanted = kinds(model.init(SEED))
    assert all(kinds(made) == wanted for made in models(strategy, standing, sites))


@each
def test_a_site_may_miss_rounds_and_come_back(row: Row) -> None:
    model, sites = row.model(), hospitals()
    standing = play(row.strategy, model, sites, 7, away=[(1, "a"), (2, "b"), (3, "b"), (5, "a")])
    for made in models(row.strategy, standing, sites):
        tree.check(made, "the model")
