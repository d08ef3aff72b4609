"""A stage as a task: what it takes, what it refuses, and how it says where it failed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import msgspec
import numpy as np
import pytest

import comity as co
from comity.engine import adding
from comity.engine.parameters import PARAMETERS, Parameters
from comity.sdk import work
from comity.sdk.work import kind_of_state, perform, site_of, state_of
from comity.strategies import reading
from comity.values import codec
from comity.values.errors import Forbidden, InvalidInput
from comity.values.rows import Rows

HEART = co.Experiment(
    model=co.numpy.Linear(features=2, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=2, steps=2),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy],
)
ROWS = (np.arange(8.0).reshape(4, 2), np.array([0.0, 1.0, 0.0, 1.0]))


@pytest.fixture
def task(tmp_path):
    """Run a stage; gives the paths of its outputs."""

    def run(experiment, stage, outputs, site="a", masked=False, **inputs):
        told = Parameters(
            experiment=experiment.to_json(),
            stage=stage,
            round=0 if stage == "init" else 1,
            site=site,
            sites=("a", "b"),
            selected=3,
            masked=masked,
        )
        (tmp_path / PARAMETERS).write_bytes(msgspec.json.encode(told))
        left = {name: str(tmp_path / f"{stage} {site} {name}") for name in outputs}
        perform({PARAMETERS: str(tmp_path / PARAMETERS), **inputs}, left, {})
        return left

    return run


@pytest.mark.parametrize(
    ("data", "train", "test"),
    [
        (ROWS, 4, None),
        (ROWS[0], 4, None),
        (Rows(*ROWS), 4, None),
        ({"train": ROWS}, 4, None),
        ({"train": ROWS, "test": Rows(*ROWS).take([0])}, 4, 1),
        ({"test": ROWS}, 0, 4),
        (co.Site("another name", train=ROWS, test=ROWS), 4, 4),
    ],
)
def test_what_an_opener_gives_becomes_a_site(data, train, test):
    made = site_of("a", data)
    assert (made.name, len(made.train)) == ("a", train)
    assert (None if made.test is None else len(made.test)) == test


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"train": ROWS, "validation": ROWS, 3: ROWS}, r"'train' and 'test', not \['3', 'validation'\]"),
        ({}, "has no rows"),
        ((1, 2, 3), "not as a tuple of 3"),
    ],
)
def test_what_is_no_site_is_refused(data, said):
    with pytest.raises(InvalidInput, match=said):
        site_of("a", data)


def local(task, columns, site, experiment=HEART, **more):
    state = task(replace(experiment, privacy=()), "init", ["state"])["state"]
    rows = Rows(*ROWS, columns)
    return task(experiment, "local", ["contribution", "memory"], site, datasamples=rows, state=state, **more)


def test_a_contribution_carries_its_columns_and_they_come_out_of_the_step(task, tmp_path):
    columns = ("age", "Größe/cm")
    made = [local(task, columns, site)["contribution"] for site in "ab"]
    (tmp_path / "total").write_bytes(b"".join(adding.added([(path[-1], tmp_path / path) for path in made])))
    step = task(HEART, "step", ["state"], state=str(tmp_path / "init a state"), total=str(tmp_path / "total"))
    held = codec.decode((tmp_path / step["state"]).read_bytes())
    assert reading.names(held["columns"]) == list(columns)


@pytest.mark.parametrize("other", [("sex", "age"), ("age", "weight")])
def test_sites_whose_columns_differ_are_not_added(task, tmp_path, other):
    made = {"a": local(task, ("age", "sex"), "a"), "b": local(task, other, "b")}
    with pytest.raises(InvalidInput, match="the part of b does not fit"):
        list(adding.added([(name, tmp_path / each["contribution"]) for name, each in made.items()]))


@pytest.mark.parametrize("other", [("sex", "age"), ("age", "weight")])
def test_sites_whose_columns_differ_are_not_seen_together(task, other):
    each = co.Experiment(
        model=HEART.model, train=HEART.train, strategy=co.strategies.Median(), metrics=[co.metrics.accuracy]
    )
    made = {"a": local(task, ("age", "sex"), "a", each), "b": local(task, other, "b", each)}
    state = task(each, "init", ["state"])["state"]
    with pytest.raises(InvalidInput, match="the sites' columns differ, by name or in order"):
        task(each, "step", ["state"], state=state, parts=[path["contribution"] for path in made.values()])


def test_an_error_says_where_it_was(task):
    state = task(HEART, "init", ["state"])["state"]
    with pytest.raises(InvalidInput) as caught:
        task(HEART, "local", ["contribution", "memory"], "b", datasamples=np.zeros((3, 2)), state=state)
    assert "in stage local of round 1 at b" in caught.value.__notes__


@pytest.mark.parametrize("stage", ["init", "local", "step", "evaluate", "finish"])
def test_no_task_gives_in_the_clear_what_is_to_be_masked(task, stage):
    with pytest.raises(Forbidden, match="asks for a secure sum, but its plan would add contributions in the clear"):
        task(replace(HEART, privacy=[co.privacy.SecureSum()]), stage, ["state"])


def test_what_does_not_fit_a_secure_sum_fails_where_its_cause_is_known(task):
    few = replace(HEART, privacy=[co.privacy.SecureSum(max_weight=3)])
    with pytest.raises(InvalidInput, match="whole number up to max_weight=3, not 4"):
        local(task, ("age", "size"), "a", few, masked=True)
    state = task(HEART, "init", ["state"])["state"]
    low = replace(HEART, privacy=[co.privacy.SecureSum(max_weight=4, metric_limit=1e-3)])
    with pytest.raises(InvalidInput, match="raise metric_limit"):
        task(low, "evaluate", ["scores"], datasamples={"test": ROWS}, state=state, masked=True)


def test_a_site_without_test_rows_measures_nothing(task, tmp_path):
    state = task(HEART, "init", ["state"])["state"]
    left = task(HEART, "evaluate", ["scores", "accuracy"], datasamples=ROWS, state=state)
    assert codec.decode((tmp_path / left["scores"]).read_bytes()) == {}
    assert (tmp_path / left["accuracy"]).read_text() == "NaN"


def test_only_declared_metrics_are_left(task, tmp_path):
    state = task(HEART, "init", ["state"])["state"]
    left = task(HEART, "evaluate", ["scores"], datasamples={"test": ROWS}, state=state)
    assert set(codec.decode((tmp_path / left["scores"]).read_bytes())) == {"accuracy"}
    assert not list(tmp_path.glob("*evaluate a accuracy"))


def test_a_state_without_a_model_is_no_beginning(task, tmp_path):
    (tmp_path / "start").write_bytes(codec.encode({"state": {"round": np.zeros(())}}))
    with pytest.raises(InvalidInput, match="holds no `params`; start from a model's parameters"):
        task(HEART, "init", ["state"], start=str(tmp_path / "start"))


@final
@dataclass(frozen=True)
class Mine:
    params: co.tree.Tree


class Unannotated(co.Strategy):
    """Whose `init` does not say what it returns."""

    needs = co.FedAvg.needs

    def init(self, params, network):
        return Mine(params)

    def local(self, state, memory, site):
        raise NotImplementedError

    def step(self, state, total):
        raise NotImplementedError


class Misspelt(Unannotated):
    def init(self, params, network) -> "Nowhere":  # noqa: F821
        return Mine(params)


class Vague(Unannotated):
    def init(self, params, network) -> object:
        return Mine(params)


@pytest.mark.parametrize("strategy", [Unannotated(), Misspelt(), Vague()], ids=lambda each: type(each).__name__)
def test_the_kind_of_a_state_is_found_without_an_annotation(strategy):
    made = co.Experiment(model=HEART.model, train=HEART.train, strategy=strategy)
    assert kind_of_state(made) is Mine
    assert state_of(made, {"state": {"params": {"w": np.ones(2)}}}).params["w"].tolist() == [1, 1]
    assert kind_of_state(HEART).__module__ == "comity.strategies.fedavg"


PRIVATE = replace(HEART, privacy=[co.privacy.RecordDP(epsilon=1.0, delta=1e-3)])


def test_a_sites_noise_is_the_systems_and_follows_from_no_seed(task):
    made = [codec.decode(Path(local(task, (), "a", PRIVATE)["contribution"]).read_bytes()) for _ in range(2)]
    first, again = (each["total"]["weight"] for each in made)
    assert not np.array_equal(first, again)
    assert made[0]["weight"] == 4


def test_the_systems_generator_is_what_samples_and_noise_are_drawn_from(task, monkeypatch):
    asked = []
    monkeypatch.setattr(work.os, "urandom", lambda count: asked.append(count) or bytes(count))
    local(task, (), "a", PRIVATE)
    # two steps: a sample of 4 rows, then pairs of normal numbers for the leaves of 1 and of 2 numbers
    assert asked == 2 * [4 * 8, 8, 8, 8, 8]


def test_a_site_does_no_round_beyond_those_its_noise_is_for(task, tmp_path):
    state = task(PRIVATE, "init", ["state"])["state"]
    told = Parameters(experiment=PRIVATE.to_json(), stage="local", round=2, site="a", sites=("a", "b"))
    (tmp_path / PARAMETERS).write_bytes(msgspec.json.encode(told))
    inputs = {PARAMETERS: str(tmp_path / PARAMETERS), "datasamples": Rows(*ROWS), "state": state}
    with pytest.raises(InvalidInput, match="accounts for 1 rounds, and this would be round 2"):
        perform(inputs, {"contribution": str(tmp_path / "c"), "memory": str(tmp_path / "m")}, {})
