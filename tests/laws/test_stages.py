"""The law of networks: stage by stage, each a task over files, an experiment comes to the bits of one process.

A new strategy is one row in ROWS.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import isgeneratorfunction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import comity as co
from comity import strategies
from comity.compression import qsgd
from comity.domain.events import SiteData
from comity.engine import adding
from comity.engine.parameters import PARAMETERS, Parameters
from comity.sdk.growth import Before, growth, signatures
from comity.sdk.work import perform
from comity.values import codec, record, tree
from comity.values.errors import NotSupported
from comity.values.rows import Rows

COLUMNS = ("age", "morphology_8500/3", "Größe")


def init(generator):
    """Parameters of a model with a trunk, a head, and a norm with a running mean."""
    return {
        "trunk": {"w": generator.normal(size=3)},
        "head": {"b": np.zeros(())},
        "norm": {"shift": np.zeros(()), "running_mean": np.zeros(())},
    }


def gradient(params, x, y):
    """Of logistic regression; the running mean moves on its own."""
    error = predict(params, x) - y
    loss = float(np.square(error).mean())
    zero = np.zeros(())
    return {
        "trunk": {"w": x.T @ error / len(x)},
        "head": {"b": np.asarray(error.mean())},
        "norm": {"shift": np.asarray(error.mean()), "running_mean": zero},
    }, loss


def predict(params, x):
    score = x @ params["trunk"]["w"] + params["head"]["b"] + params["norm"]["shift"]
    return 1 / (1 + np.exp(-score))


def brier(y, predictions):
    """A metric of the user's own."""
    return float(np.square(y - predictions).mean())


MODEL = co.numpy.Model(init, gradient, predict)
TRAINING = {"model": MODEL, "train": co.Train(optimizer=co.SGD(lr=0.1), batch_size=4, steps=3)}
BINARY = [co.metrics.accuracy, co.metrics.auc, brier]


@dataclass(frozen=True)
class Row:
    strategy: Any
    y: str = "classes"
    metrics: Sequence[Any] = ()
    compression: Any = None


ROWS = {
    "FedAvg": Row(strategies.FedAvg(), metrics=BINARY),
    "FedAvg, sampled": Row(strategies.FedAvg(sites_per_round=2), metrics=BINARY),
    "FedProx": Row(strategies.FedProx(mu=0.5)),
    "FedAdam": Row(strategies.FedAdam()),
    "FedYogi": Row(strategies.FedYogi()),
    "FedAdagrad": Row(strategies.FedAdagrad()),
    "FedDyn": Row(strategies.FedDyn(alpha=0.5)),
    "Scaffold": Row(strategies.Scaffold(), metrics=BINARY),
    "Scaffold, sampled": Row(strategies.Scaffold(sites_per_round=2)),
    "FedNova": Row(strategies.FedNova()),
    "Cyclic": Row(strategies.Cyclic(shuffled=True), metrics=BINARY),
    "FedPer": Row(strategies.FedPer(personal=("head",)), metrics=BINARY),
    "FedBN": Row(strategies.FedBN(), metrics=BINARY),
    "Ditto": Row(strategies.Ditto(strength=0.5), metrics=BINARY),
    "FedAvg, in 16 bits": Row(strategies.FedAvg(), metrics=BINARY, compression=co.compression.BFloat16()),
    "Ditto, in 8 bits": Row(strategies.Ditto(strength=0.5), metrics=BINARY, compression=co.compression.QSGD()),
    "Median, in 8 bits": Row(strategies.Median(), compression=co.compression.QSGD()),
    "Median": Row(strategies.Median()),
    "TrimmedMean": Row(strategies.TrimmedMean()),
    "Krum": Row(strategies.Krum(keep=2)),
    "Statistics": Row(strategies.Statistics(), y="none"),
    "Histogram": Row(strategies.Histogram(edges=(-1, 0, 1)), y="none"),
    "Quantiles": Row(strategies.Quantiles(), y="none"),
    "PCA": Row(strategies.PCA(components=2), y="none"),
    "LinearRegression": Row(strategies.LinearRegression(), y="line", metrics=[co.metrics.r2]),
    "LogisticRegression": Row(strategies.LogisticRegression(l2=0.1), metrics=[co.metrics.auc]),
    "CoxRegression": Row(strategies.CoxRegression(l2=0.1), y="lifetimes", metrics=[co.metrics.concordance]),
    "KaplanMeier": Row(strategies.KaplanMeier(times=(1, 2, 4)), y="lifetimes"),
}


def experiment(row: Row) -> co.Experiment:
    training = TRAINING if row.strategy.needs else {}
    return co.Experiment(
        strategy=row.strategy, metrics=row.metrics, rounds=4, seed=7, compression=row.compression, **training
    )


def rows(kind: str, count: int, seed: int) -> Rows:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 3))
    line = x @ [1.0, -1.0, 0.5] + generator.normal(size=count)
    y = {
        "none": None,
        "line": line,
        "classes": (line > 0).astype(float),
        "lifetimes": np.column_stack([np.ceil(generator.exponential(4, count)), generator.random(count) < 0.7]),
    }[kind]
    return Rows(x, y, COLUMNS)


def sites(kind: str) -> list[co.Site]:
    """Five sites of different sizes, of which the last has nothing to test on."""
    return [
        co.Site(name, train=rows(kind, 9 + 2 * at, at), test=rows(kind, 8, 10 + at) if at < 4 else None)
        for at, name in enumerate("abcde")
    ]


class Staged:
    """An experiment as a network runs it, one file for each output, and nothing else kept."""

    def __init__(self, experiment: co.Experiment, sites: Sequence[co.Site], folder: Path) -> None:
        self.experiment, self.folder = experiment, folder
        self.data = {site.name: {"train": site.train, "test": site.test} for site in sites}
        held = {name: SiteData(dataset="d", samples=("s",)) for name in self.data}
        self.growth = growth(experiment, held, {}, aggregator="a", deadline=1, retries=0, before=Before())
        self.signatures = signatures(experiment)
        self.memories: dict[str, Path] = {}
        self.measured: dict[int, dict[str, Any]] = {}

    def task(self, stage: Any, number: int, site: str, **inputs: Any) -> dict[str, Path]:
        """The files that a stage leaves."""
        here = self.folder / f"{number} {stage} {site}"
        here.mkdir()
        told = Parameters(
            experiment=self.experiment.to_json(), stage=stage, round=number, site=site, sites=tuple(sorted(self.data))
        )
        (here / PARAMETERS).write_bytes(msgspec.json.encode(told))
        taken, left = self.signatures[stage]
        assert inputs.keys() <= taken.keys() | {"datasamples"}
        outputs = {name: here / name for name in left}
        given = {name: each if name in ("datasamples", "parts") else str(each) for name, each in inputs.items()}
        paths = {name: str(path) for name, path in outputs.items()}
        perform({PARAMETERS: str(here / PARAMETERS), **given}, paths, {"rank": 0})
        assert all(path.exists() for path in outputs.values())
        for name, path in outputs.items():
            if left[name].form == "tree":
                list(adding.checked(path))
        return outputs

    def run(self, start: Path | None = None) -> Path:
        """The last state."""
        state = self.task("init", 0, "a", **({"start": start} if start else {}))["state"]
        for number in range(1, self.growth.rounds + 1):
            names = self.growth.selected[number - 1] if self.growth.selected else sorted(self.data)
            parts = {name: self.local(number, name, state) for name in names}
            if self.growth.sees_each:
                step = self.task("step", number, "a", state=state, parts=[str(path) for path in parts.values()])
            else:
                (total := self.folder / f"{number} sum").write_bytes(b"".join(adding.added(list(parts.items()))))
                step = self.task("step", number, "a", state=state, total=total)
            state = step["state"]
            if self.growth.metrics:
                self.measure(number, state)
            if self.growth.finishes and float(step["finished"].read_text()) == 1.0:
                break
        return state

    def local(self, number: int, name: str, state: Path) -> Path:
        memory = {"memory": self.memories[name]} if name in self.memories else {}
        left = self.task("local", number, name, datasamples=self.data[name], state=state, **memory)
        self.memories[name] = left["memory"]
        return left["contribution"]

    def measure(self, number: int, state: Path) -> None:
        found = {}
        for name, data in self.data.items():
            memory = {"memory": self.memories[name]} if name in self.memories else {}
            found[name] = self.task("evaluate", number, name, datasamples=data, state=state, **memory)
        scores = [(name, each["scores"]) for name, each in found.items()]
        (total := self.folder / f"{number} scores").write_bytes(b"".join(adding.added(scores)))
        made = self.task("finish", number, "a", total=total)
        self.measured[number] = {metric: float(made[metric].read_text()) for metric in self.growth.metrics}
        for name, each in found.items():
            values = {metric: float(each[metric].read_text()) for metric in self.growth.metrics}
            self.measured[number, name] = values


def bits(stored: Any) -> dict[str, tuple[str, Any, bytes]]:
    return {path: (leaf.dtype.str, leaf.shape, leaf.tobytes()) for path, leaf in tree.flatten(stored).items()}


each = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


def test_every_strategy_that_a_network_can_run_has_a_row() -> None:
    kinds = {getattr(strategies, name) for name in strategies.__all__}
    assert {type(row.strategy) for row in ROWS.values()} == {
        kind for kind in kinds if not isgeneratorfunction(kind.local)
    }


@pytest.fixture(autouse=True)
def small_arrays_are_quantized_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qsgd, "SMALLEST", 2)


@each
def test_stage_by_stage_it_comes_to_the_bits_that_one_process_comes_to(row: Row, tmp_path: Path) -> None:
    made, given = experiment(row), sites(row.y)
    run, staged = co.simulate(made, given), Staged(made, given, tmp_path)
    held = codec.decode(staged.run().read_bytes())
    assert bits(held["state"]) == bits(record.to_tree(run.state))
    assert list(map(str, held["columns"])) == sorted(held["columns"])
    for name in "abcde":
        kept = codec.decode(staged.memories[name].read_bytes()) if name in staged.memories else {}
        assert bits(kept) == bits(run.memories.get(name, run.round))
    took = [(each.sent, each.uncompressed) for each in run.history]
    assert [tuple(each) for each in held.get("bytes", took)] == took
    assert ("bytes" in held) == (row.compression is not None)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.metrics])
def test_what_is_measured_is_what_one_process_measures(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    made, given = experiment(row), sites(row.y)
    run, staged = co.simulate(made, given), Staged(made, given, tmp_path)
    staged.run()
    for done in run.history:
        assert staged.measured[done.number] == pytest.approx(done.pooled or nothing(made), abs=0, nan_ok=True)
        for site in "abcd":
            wanted = (done.sites or {}).get(site, nothing(made))
            assert staged.measured[done.number, site] == pytest.approx(wanted, abs=0, nan_ok=True)
        assert all(np.isnan(value) for value in staged.measured[done.number, "e"].values()), "it has no test rows"


def nothing(experiment: co.Experiment) -> dict[str, float]:
    """What is measured where there is nothing to measure, or no model yet."""
    return {metric.name: np.nan for metric in experiment.measures}


def test_a_strategy_that_sums_within_a_round_is_for_simulations() -> None:
    made = co.Experiment(strategy=strategies.SharedTrunk(trunk=("trunk",)), **TRAINING)
    with pytest.raises(NotSupported, match=r"SharedTrunk sums many times within a round.*use co\.simulate"):
        signatures(made)


def test_it_starts_from_parameters_or_from_a_state(tmp_path: Path) -> None:
    made, given = experiment(ROWS["FedAvg"]), sites("classes")
    for at in ("whole", "first", "second", "tree"):
        (tmp_path / at).mkdir()
    whole = Staged(replace(made, rounds=1), given, tmp_path / "whole")
    state = whole.run()
    params = tmp_path / "params"
    params.write_bytes(codec.encode(codec.decode(state.read_bytes())["state"]["params"]))
    from_state = Staged(made, given, tmp_path / "first").run(start=state)
    from_params = Staged(made, given, tmp_path / "second").run(start=params)
    assert from_state.read_bytes() == from_params.read_bytes()
    first = codec.decode((tmp_path / "first" / "0 init a" / "state").read_bytes())
    assert bits(first["state"]["params"]) == bits(codec.decode(params.read_bytes()))
