"""With a GPU: an engine that trains on it, and tasks in sandboxes that are given it."""

import asyncio
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import comity as co
from comity.adapters.environments.own import environment
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.job import Job, Status
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.way import Way

pytestmark = pytest.mark.skipif(not Path("/dev/nvidia0").exists(), reason="no NVIDIA GPU here")

TASK = """
import json, os

import torch


def f(inputs, outputs, task_properties):
    there = torch.cuda.is_available()
    made = {"there": there, "count": torch.cuda.device_count()}
    if there:
        x = torch.ones(512, 512, device="cuda")
        made["product"] = float((x @ x).sum())
    made["files"] = sorted(os.listdir("/home")) if os.path.isdir("/home") else []
    with open(outputs["told"], "w") as file:
        json.dump(made, file)
"""


def told(tmp_path, way):
    """What two tasks of different plans, begun at once, say of the device."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "task.py").write_text(TASK)
    (bundle / "function.json").write_text('{"entry": "task:f"}')

    async def run():
        pool = Pool(2, tmp_path / "sandboxes", way)
        await pool.start()
        jobs = []
        for plan in ("one", "two"):
            (tmp_path / plan).mkdir()
            outputs = {"told": tmp_path / plan / "told"}
            log = tmp_path / plan / "log"
            jobs.append(
                Job(task_key=plan, plan_key=plan, rank=0, bundle=bundle, outputs=outputs, log=log, seconds=240.0)
            )
        outcomes = await asyncio.gather(*(pool.run(environment(()), job) for job in jobs))
        await pool.close()
        return pool.level, [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]

    level, ended = asyncio.run(run())
    for job, outcome in ended:
        assert outcome.status is Status.DONE, (outcome, job.log.read_text() if job.log.exists() else "")
    return level, [json.loads(job.outputs["told"].read_text()) for job, _ in ended]


@pytest.mark.parametrize("most", Level)
def test_tasks_are_given_the_device_that_the_node_names_one_sandbox_after_the_other(tmp_path, most):
    level, said = told(tmp_path, Way(level=most, devices=("0",)))
    assert level == most, f"only level {level} is reached here"
    assert [(each["there"], each["count"], each["product"]) for each in said] == [(True, 1, 512.0**3)] * 2


def test_without_a_device_that_the_node_names_a_sandboxed_task_has_none(tmp_path):
    level, said = told(tmp_path, Way())
    assert level == Level.BUBBLEWRAP, f"only level {level} is reached here"
    assert [each["there"] for each in said] == [False, False]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_training_on_the_device_comes_to_the_same_model_within_a_tolerance():
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits

    experiment = co.Experiment(
        model=co.torch.Model(lambda: nn.Linear(13, 1), loss=binary_cross_entropy_with_logits),
        train=co.Train(optimizer=co.SGD(lr=3e-3), batch_size=4, steps=50),
        strategy=co.FedAvg(),
        metrics=[co.metrics.auc],
        rounds=3,
        seed=42,
    )
    plain = co.simulate(experiment, co.data.heart())
    device = co.simulate(experiment, co.data.heart(), engine=co.Auto(device="cuda"))
    for name, array in co.tree.flatten(plain.model).items():
        np.testing.assert_allclose(co.tree.flatten(device.model)[name], array, rtol=1e-3, atol=1e-5)
    again = co.simulate(replace(experiment, rounds=1), co.data.heart(), engine=co.Auto(device="cuda"))
    assert again.engine["engine"].startswith("Auto")
