"""Functions with a Dockerfile, run by two nodes as Substra's backends run them; whoever asks uses the stock client."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import requests

FIRST, SECOND = "MyOrg1MSP", "MyOrg2MSP"

BROKEN = "print('no function here')\n"
"""A script that registers nothing and does not run one."""


@pytest.fixture(scope="module")
def functions(assets, clients, wait) -> dict[str, str]:
    """A public function of each kind of the first organization's, built."""
    made = {
        each: assets.function(clients[0], each) for each in ("train", "aggregate", "predict", "score", "order", "fail")
    }
    for key in made.values():
        wait(clients[0].wait_function, key)
    return made


@pytest.fixture(scope="module")
def datasets(assets, clients) -> list[tuple[str, list[str]]]:
    """A dataset of each organization, with its four samples."""
    made = []
    for client in clients:
        dataset = assets.dataset(client)
        made.append((dataset, [assets.sample(client, dataset, f"{x},{2 * x}\n") for x in range(1, 5)]))
    return made


def test_a_task_after_another_on_the_same_node(assets, clients, functions, datasets, wait, read_json, tmp_path):
    dataset, samples = datasets[0]
    data, one = assets.data(dataset, *samples[:2]), clients[0]
    first = one.add_task(assets.alone(functions["train"], FIRST, data, metadata={"foo": "bar"}))
    ended = wait(one.wait_task, first)
    assert (ended.status, ended.error_type, ended.metadata) == ("STATUS_DONE", None, {"foo": "bar"})
    assert read_json(one.download_model_from_task(first, "model", str(tmp_path)))["value"] == 6
    second = one.add_task(
        assets.alone(functions["train"], FIRST, [*data, assets.after(first, "model", "models")], metadata=None)
    )
    ended = wait(one.wait_task, second)
    assert ended.metadata == {}
    assert [(each.identifier, each.asset_key, each.parent_task_key) for each in ended.inputs] == [
        ("opener", dataset, None),
        ("datasamples", samples[0], None),
        ("datasamples", samples[1], None),
        ("models", None, first),
    ]
    assert read_json(one.download_model_from_task(second, "model", str(tmp_path))) == {"value": 12, "rank": 1}


def test_two_rounds_over_two_organizations(assets, clients, functions, datasets, wait, read_json, tmp_path):
    """Both train on what the last round left, the first adds up, and both are scored in the end."""
    both, tasks, models = assets.permissions(FIRST, SECOND), [], []
    for round in range(2):
        trained = []
        for worker, (dataset, samples) in zip((FIRST, SECOND), datasets, strict=True):
            given = [*assets.data(dataset, samples[round]), *models]
            trained.append(assets.task(functions["train"], worker, given, assets.outputs(permissions=both)))
        parts = [assets.after(each.task_id, "model", "models") for each in trained]
        merged = assets.task(functions["aggregate"], FIRST, parts, assets.outputs(permissions=both))
        models = [assets.after(merged.task_id, "model", "models")]
        tasks += [*trained, merged]
    scored = []
    for worker, (dataset, samples) in zip((FIRST, SECOND), datasets, strict=True):
        data, model = assets.data(dataset, samples[3]), assets.after(merged.task_id, "model", "model")
        guess = assets.task(functions["predict"], worker, [*data, model], assets.outputs("predictions"))
        left = assets.after(guess.task_id, "predictions", "predictions")
        scored.append(assets.task(functions["score"], worker, [*data, left], assets.outputs("performance")))
        tasks += [guess, scored[-1]]
    plan = assets.plan(*random.Random(1).sample(tasks, len(tasks)))  # clients need not put parents first
    clients[0].add_compute_plan(plan)
    ended = wait(clients[0].wait_compute_plan, plan.key)
    assert (ended.status, ended.task_count, ended.done_count) == ("PLAN_STATUS_DONE", 10, 10)
    # round 0: each 2, so 2; round 1: each 2 + 4, so 6; the rows are (4, 8)
    assert read_json(clients[1].download_model_from_task(merged.task_id, "model", str(tmp_path))) == {"value": 6}
    found = clients[0].get_performances(plan.key)
    assert dict(zip(found.worker, found.performance, strict=True)) == {FIRST: 4 * 6 - 8, SECOND: 4 * 6 - 8}


def test_samples_come_in_the_order_that_was_asked_for(assets, clients, functions, datasets, wait, read_json, tmp_path):
    dataset, samples = datasets[0]
    asked = sorted(samples, reverse=True)
    key = clients[0].add_task(assets.alone(functions["order"], FIRST, assets.data(dataset, *asked)))
    ended = wait(clients[0].wait_task, key)
    assert [each.asset_key for each in ended.inputs if each.identifier == "datasamples"] == asked
    assert read_json(clients[0].download_model_from_task(key, "model", str(tmp_path)))["value"] == asked


def test_a_sample_that_lies_at_the_node(substra, assets, clients, functions, wait, read_json, tmp_path):
    folder = tmp_path / "servermedias" / "rows"
    folder.parent.mkdir()
    shutil.move(assets.rows("1,40\n"), folder)
    dataset = assets.dataset(clients[0])
    spec = substra.schemas.DataSampleSpec(path=folder, data_manager_keys=[dataset])
    sample = clients[0].add_data_sample(spec, local=False)
    key = clients[0].add_task(assets.alone(functions["train"], FIRST, assets.data(dataset, sample)))
    wait(clients[0].wait_task, key)
    assert read_json(clients[0].download_model_from_task(key, "model", str(tmp_path)))["value"] == 40


def test_a_failure_ends_its_plan(substra, assets, clients, functions, datasets, wait):
    data = assets.data(datasets[0][0], datasets[0][1][0])
    first = assets.task(functions["fail"], FIRST, data)
    second = assets.task(functions["train"], FIRST, [*data, assets.after(first.task_id, "model", "models")])
    plan = assets.plan(first, second)
    clients[0].add_compute_plan(plan)
    ended = wait(clients[0].wait_compute_plan, plan.key, raises=False)
    assert (ended.status, ended.failed_task_key) == ("PLAN_STATUS_FAILED", first.task_id)
    assert ended.end_date is not None
    assert clients[0].get_task(second.task_id).start_date is None
    with pytest.raises(substra.exceptions.NotFound):
        clients[0].get_logs(second.task_id)
    with pytest.raises(substra.exceptions.InvalidRequest):
        clients[0].cancel_compute_plan(plan.key)


def test_a_script_that_runs_no_function(assets, clients, datasets, wait):
    function = assets.function(clients[0], archive=assets.archive("train", code=BROKEN))
    key = clients[0].add_task(assets.alone(function, FIRST, assets.data(datasets[0][0], datasets[0][1][0])))
    ended = wait(clients[0].wait_task, key, raises=False)
    assert (ended.status, ended.error_type) == ("STATUS_FAILED", "EXECUTION_ERROR")
    assert clients[0].get_logs(key)


def test_a_function_that_is_not_there(assets, clients, datasets, wait):
    code = assets.CODE.replace("def train(", "def naitr(")
    function = assets.function(clients[0], archive=assets.archive("train", code=code))
    key = clients[0].add_task(assets.alone(function, FIRST, assets.data(datasets[0][0], datasets[0][1][0])))
    ended = wait(clients[0].wait_task, key, raises=False)
    assert (ended.status, ended.error_type) == ("STATUS_FAILED", "EXECUTION_ERROR")
    for client in clients:
        wait(client.wait_task, key, raises=False)
        assert "Traceback (most recent call last):" in client.get_logs(key)


def test_a_build_that_fails(assets, clients, datasets, wait, tmp_path):
    dockerfile = assets.DOCKERFILE + "RUN invalid_command\n"
    function = assets.function(clients[0], archive=assets.archive("train", dockerfile=dockerfile))
    key = clients[0].add_task(assets.alone(function, FIRST, assets.data(datasets[0][0], datasets[0][1][0])))
    ended = wait(clients[0].wait_task, key, raises=False)
    assert (ended.status, ended.error_type) == ("STATUS_FAILED", "BUILD_ERROR")
    assert wait(clients[0].wait_function, function, raises=False).status == "FUNCTION_STATUS_FAILED"
    for number, client in enumerate(clients):
        wait(client.wait_task, key, raises=False)
        folder = tmp_path / str(number)
        folder.mkdir()
        said = client.get_logs(key)
        assert "invalid_command: not found" in said
        assert Path(client.download_logs(key, str(folder))).read_text() == said


def test_logs_are_for_those_who_may_read_them(substra, assets, clients, functions, wait):
    dataset = assets.dataset(clients[0], logs_permission=assets.permissions())
    data = assets.data(dataset, assets.sample(clients[0], dataset))
    key = clients[1].add_task(assets.alone(functions["fail"], FIRST, data))
    for client in clients:
        wait(client.wait_task, key, raises=False)
    assert "these rows cannot be learnt from" in clients[0].get_logs(key)
    with pytest.raises(substra.exceptions.AuthorizationError):
        clients[1].get_logs(key)


def test_a_task_that_is_done_has_no_log(substra, assets, clients, functions, datasets, wait):
    key = clients[0].add_task(assets.alone(functions["train"], FIRST, assets.data(datasets[0][0], datasets[0][1][0])))
    wait(clients[0].wait_task, key)
    with pytest.raises(substra.exceptions.NotFound):
        clients[0].get_logs(key)


def test_transient_outputs_go(substra, assets, clients, functions, datasets, wait, tmp_path):
    data = assets.data(datasets[0][0], datasets[0][1][0])
    first = assets.task(functions["train"], FIRST, data, assets.outputs(transient=True))
    taken = [*data, assets.after(first.task_id, "model", "models")]
    plan = assets.plan(first, assets.task(functions["train"], FIRST, taken))
    clients[0].add_compute_plan(plan)
    wait(clients[0].wait_compute_plan, plan.key)
    assert clients[0].get_task(first.task_id).outputs["model"].is_transient is True
    (model,) = clients[0].list_model({"compute_task_key": [first.task_id]})
    end = time.monotonic() + 60
    while clients[0].get_model(model.key).address is not None:
        assert time.monotonic() < end, "waited for a transient model to go in vain"
        time.sleep(0.05)
    with pytest.raises(substra.exceptions.InvalidRequest, match="has been disabled"):
        clients[0].add_task(assets.alone(functions["train"], FIRST, taken))
    with pytest.raises(substra.exceptions.HTTPError, match="410"):
        clients[0].download_model(model.key, str(tmp_path))


def test_models_are_for_those_they_are_for(substra, assets, clients, functions, datasets, wait, tmp_path):
    data = assets.data(datasets[0][0], datasets[0][1][0])
    for names, allowed in (((FIRST,), False), ((SECOND,), True)):
        outputs = assets.outputs(permissions=assets.permissions(*names))
        key = clients[0].add_task(assets.alone(functions["train"], FIRST, data, outputs))
        for client in clients:
            wait(client.wait_task, key)
        (model,) = clients[1].list_model({"compute_task_key": [key]})
        assert set(model.permissions.process.authorized_ids) == {FIRST, *names}
        clients[0].download_model(model.key, str(tmp_path))
        if allowed:
            clients[1].download_model(model.key, str(tmp_path))
        else:
            with pytest.raises(substra.exceptions.AuthorizationError):
                clients[1].download_model(model.key, str(tmp_path))


def test_a_plan_grows_after_it_was_done(assets, clients, functions, datasets, wait):
    data = assets.data(datasets[0][0], datasets[0][1][0])
    first = assets.task(functions["train"], FIRST, data)
    plan = assets.plan(first)
    clients[0].add_compute_plan(plan, auto_batching=False)
    wait(clients[0].wait_compute_plan, plan.key)
    second = assets.task(functions["train"], FIRST, [*data, assets.after(first.task_id, "model", "models")])
    grown = clients[0].add_compute_plan_tasks(plan.key, {"tasks": [second]}, auto_batching=False)
    assert grown.task_count == 2
    ended = wait(clients[0].wait_compute_plan, plan.key)
    assert (ended.status, ended.done_count) == ("PLAN_STATUS_DONE", 2)


def test_an_output_whose_name_has_spaces(substra, assets, clients, datasets, wait):
    """As SubstraFL calls a performance by its metric's name; the stock client asks for it without the spaces."""
    code = assets.CODE.replace('outputs["performance"]', 'outputs["F1 score (%)"]').replace(
        'sum(read(inputs["predictions"])) - sum(truth)', "len(truth)"
    )
    schemas = substra.schemas
    outputs = [schemas.FunctionOutputSpec(identifier="F1 score (%)", kind="ASSET_PERFORMANCE", multiple=False)]
    inputs = [
        schemas.FunctionInputSpec(identifier="opener", kind="ASSET_DATA_MANAGER", optional=False, multiple=False),
        schemas.FunctionInputSpec(identifier="datasamples", kind="ASSET_DATA_SAMPLE", optional=False, multiple=True),
    ]
    function = assets.function(clients[0], archive=assets.archive("score", code=code), inputs=inputs, outputs=outputs)
    data = assets.data(datasets[0][0], *datasets[0][1][:3])
    key = clients[0].add_task(assets.alone(function, FIRST, data, assets.outputs("F1 score (%)")))
    wait(clients[0].wait_task, key)
    assert clients[0].get_task_output_asset(key, "F1 score (%)").asset == 3


@pytest.fixture
def profile(nodes, clients) -> Any:
    """What a node says at a path, with a token of its own."""
    token = clients[0].login(nodes[0]["user"], nodes[0]["password"])

    def shown(path: str) -> Any:
        headers = {"Authorization": f"Token {token}", "Accept": "application/json;version=0.0"}
        reply = requests.get(nodes[0]["url"] + path, headers=headers, timeout=60)
        reply.raise_for_status()
        return reply.json()

    return shown


def test_how_long_it_took(assets, clients, functions, datasets, wait, profile):
    key = clients[0].add_task(assets.alone(functions["train"], FIRST, assets.data(datasets[0][0], datasets[0][1][0])))
    wait(clients[0].wait_task, key)
    task, function = profile(f"/task_profiling/{key}/"), profile(f"/function/{functions['train']}/profiling/")
    assert task["compute_task_key"] == key
    assert {each["step"] for each in task["execution_rundown"]} == {
        "prepare_inputs",
        "download_function",
        "task_execution",
        "save_outputs",
    }
    assert all(each["duration"] >= 0 for each in task["execution_rundown"])
    assert task["task_duration"] > 0
    assert function["function_key"] == functions["train"]
    assert "build_image" in {each["step"] for each in function["execution_rundown"]}
    assert function["duration"] == sum(each["duration"] for each in function["execution_rundown"])
