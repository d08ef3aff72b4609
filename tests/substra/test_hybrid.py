"""The stock client's hybrid mode: it reads what nodes have, and runs tasks here on rows that openers make up."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

FIRST = "MyOrg1MSP"


@pytest.fixture
def hybrid(substra, connect, tmp_path, monkeypatch) -> Generator[Any]:
    """A client that keeps what it makes in a folder of its own, and runs in processes."""
    monkeypatch.chdir(tmp_path)  # it leaves `local-worker` where it is
    client = connect(0, backend_type=substra.BackendType.LOCAL_SUBPROCESS)
    yield client
    client._backend._db._tmp_dir.cleanup()  # it leaves that to the collector, which warns


@pytest.fixture
def data(assets, clients) -> list[Any]:
    """The inputs of a task on a dataset that lies at the node."""
    dataset = assets.dataset(clients[0])
    return assets.data(dataset, assets.sample(clients[0], dataset, "100,200\n"))


def test_a_plan_here_on_what_lies_there(substra, assets, clients, hybrid, data):
    worker = hybrid.organization_info().organization_id
    assert (hybrid.backend_mode, worker) == (substra.BackendType.LOCAL_SUBPROCESS, FIRST)
    train, mean, predict, score = (
        assets.function(clients[0], each) for each in ("train", "aggregate", "predict", "score")
    )
    trained = [assets.task(train, worker, data) for _ in range(2)]
    merged = assets.task(mean, worker, [assets.after(each.task_id, "model", "models") for each in trained])
    guess = assets.task(
        predict, worker, [*data, assets.after(merged.task_id, "model", "model")], assets.outputs("predictions")
    )
    left = assets.after(guess.task_id, "predictions", "predictions")
    rated = assets.task(score, worker, [*data, left], assets.outputs("performance"))
    plan = hybrid.add_compute_plan(assets.plan(*trained, merged, guess, rated))
    assert plan.status == "PLAN_STATUS_DONE"
    # made-up rows are (1, 2): not a row of those at the node
    assert hybrid.get_task_output_asset(rated.task_id, "performance").asset == 1 * 2 - 2
    with pytest.raises(substra.exceptions.NotFound):
        clients[0].get_compute_plan(plan.key)


def test_a_sample_that_is_nowhere(substra, assets, clients, hybrid, data):
    function = assets.function(clients[0])
    task = assets.alone(function, FIRST, [data[0], substra.schemas.InputRef(identifier="datasamples", asset_key="x")])
    with pytest.raises(substra.exceptions.InvalidRequest, match="Could not get all the data_samples"):
        hybrid.add_task(task)


def test_it_reads_what_a_node_has(assets, clients, hybrid, data, tmp_path):
    key = data[0].asset_key
    assert hybrid.get_dataset(key).owner == FIRST
    assert key in {each.key for each in hybrid.list_dataset()}
    assert hybrid.describe_dataset(key) == "# Rows\n"
    assert hybrid.download_dataset(key, str(tmp_path)).read_text() == assets.OPENER
