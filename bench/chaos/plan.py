"""A plan of deterministic tasks over all organizations, registered over REST, and what must come out of it.

In every round each organization trains on its data from where the last round ended, one of them in turn adds the
models up, and each measures the sum. What must come out is calculated here a second time, without any network.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

from bench.chaos.network import Away, Network, Node

PUBLIC = {"public": True, "authorized_ids": []}

PATIENCE = 60.0
"""Seconds until functions are ready at every node, while nothing is killed."""

TOGETHER = 49
"""Tasks that are added with one request."""

OPENER = b"""
from pathlib import Path

class Opener:
    def get_data(self, folders):
        return [int(Path(folder, "rows.txt").read_text()) for folder in folders]

    def fake_data(self, n):
        return [0] * n
"""

FUNCTIONS = b"""
import time
from pathlib import Path

def _read(path):
    return int(Path(path).read_text().split()[0])

def _leave(path, value):
    Path(path).write_text(f"{value} " * 10000)

def train(inputs, outputs, properties):
    time.sleep(0.02)
    start = _read(inputs["model"]) if "model" in inputs else 0
    _leave(outputs["model"], (31 * start + sum(inputs["datasamples"])) % 1000003)

def add(inputs, outputs, properties):
    time.sleep(0.02)
    _leave(outputs["model"], sum(map(_read, inputs["models"])) % 1000003)

def measure(inputs, outputs, properties):
    time.sleep(0.02)
    Path(outputs["performance"]).write_text(str((_read(inputs["model"]) + sum(inputs["datasamples"])) / 7))
"""

DATA = {"kind": "ASSET_DATA_MANAGER"}, {"kind": "ASSET_DATA_SAMPLE", "multiple": True}

DECLARED: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "train": (
        {"opener": DATA[0], "datasamples": DATA[1], "model": {"kind": "ASSET_MODEL", "optional": True}},
        {"model": {"kind": "ASSET_MODEL"}},
    ),
    "add": ({"models": {"kind": "ASSET_MODEL", "multiple": True}}, {"model": {"kind": "ASSET_MODEL"}}),
    "measure": (
        {"opener": DATA[0], "datasamples": DATA[1], "model": {"kind": "ASSET_MODEL"}},
        {"performance": {"kind": "ASSET_PERFORMANCE"}},
    ),
}


@dataclass(frozen=True)
class Assets:
    """What the plan's tasks name."""

    functions: Mapping[str, str]
    data: Mapping[str, tuple[str, str]]
    """(dataset, sample) by organization."""


def register(network: Network) -> Assets:
    """Data at every organization, and the functions at the first, which are ready on return."""
    data: dict[str, tuple[str, str]] = {}
    for number, (name, node) in enumerate(network.nodes.items()):
        folder = network.folder.parent / f"{network.folder.name}-data" / name
        folder.mkdir(parents=True)
        (folder / "rows.txt").write_text(str(1000 + number))
        body = {"name": "rows", "permissions": PUBLIC, "logs_permission": PUBLIC}
        dataset = node.upload("/data_manager/", body, {"data_opener": OPENER, "description": b"# Rows"})["key"]
        sample = node.post("/data_sample/", {"data_manager_keys": [dataset], "path": str(folder)})[0]["key"]
        data[name] = (dataset, sample)
    first = next(iter(network.nodes.values()))
    functions: dict[str, str] = {}
    for name, (inputs, outputs) in DECLARED.items():
        body = {"name": name, "permissions": PUBLIC, "inputs": inputs, "outputs": outputs}
        files = {"file": _archive(name), "description": b"# A function"}
        functions[name] = first.upload("/function/", body, files)["key"]
    until = time.monotonic() + PATIENCE
    for node in network.nodes.values():
        while not _ready(node, functions.values()):
            if time.monotonic() > until:
                raise AssertionError(f"{node.organization} does not know the functions after {PATIENCE:g} s")
            time.sleep(0.02)
    return Assets(functions, data)


def tasks(assets: Assets, plan: str, rounds: int) -> list[dict[str, Any]]:
    """The tasks in their order, parents first."""
    names, made = list(assets.data), list[dict[str, Any]]()

    def task(kind: str, worker: str, round: int, parents: Sequence[dict[str, Any]]) -> dict[str, Any]:
        identifier = "models" if kind == "add" else "model"
        inputs = [
            {
                "identifier": identifier,
                "parent_task_key": each["key"],
                "parent_task_output_identifier": "model",
            }
            for each in parents
        ]
        if kind != "add":
            dataset, sample = assets.data[worker]
            inputs += [
                {"identifier": "opener", "asset_key": dataset},
                {"identifier": "datasamples", "asset_key": sample},
            ]
        output = "performance" if kind == "measure" else "model"
        made.append(
            {
                "key": str(uuid.uuid5(uuid.UUID(plan), f"{round} {kind} {worker}")),
                "compute_plan_key": plan,
                "function_key": assets.functions[kind],
                "worker": worker,
                "inputs": inputs,
                "outputs": {output: {"permissions": PUBLIC}},
            }
        )
        return made[-1]

    last: list[dict[str, Any]] = []
    for round in range(rounds):
        trained = [task("train", name, round, last) for name in names]
        last = [task("add", names[round % len(names)], round, trained)]
        for name in names:
            task("measure", name, round, last)
    return made


def expected(assets: Assets, plan: str, rounds: int) -> dict[str, str]:
    """What must come out of each task, calculated without a network: a model's digest, or a performance."""
    out: dict[str, str] = {}
    start = 0
    rows = {name: 1000 + number for number, name in enumerate(assets.data)}
    names = list(rows)
    for round in range(rounds):
        trained = {name: (31 * start + rows[name]) % 1000003 for name in names}
        start = sum(trained.values()) % 1000003
        worker = names[round % len(names)]
        values = {("train", name): _digest(value) for name, value in trained.items()}
        values["add", worker] = _digest(start)
        values |= {("measure", name): repr((start + rows[name]) / 7) for name in names}
        for (kind, name), value in values.items():
            out[str(uuid.uuid5(uuid.UUID(plan), f"{round} {kind} {name}"))] = value
    return out


def add(node: Node, wanted: Sequence[dict[str, Any]]) -> None:
    """Add tasks, some at a time; what may have been served or not is looked up before it is asked again."""
    for at in range(0, len(wanted), TOGETHER):
        some = wanted[at : at + TOGETHER]
        while True:
            try:
                node.post("/task/bulk_create/", {"tasks": some})
                break
            except Away:
                time.sleep(0.1)
            except HTTPError as error:
                if error.code != 409:
                    raise
                break  # an earlier attempt was served


def done(node: Node, plan: str) -> dict[str, dict[str, Any]]:
    """Every task of the plan, as this node knows it."""
    found = node.get("/task/", compute_plan_key=plan, page_size=10_000)["results"]
    return {each["key"]: each for each in found}


def came_out(node: Node, plan: str) -> dict[str, str]:
    """What each task left, as this node knows it: a model's digest, or a performance."""
    found = node.get("/model/", page_size=10_000)["results"]
    out = {each["compute_task_key"]: each["address"]["checksum"] for each in found}
    measured = node.get(f"/compute_plan/{plan}/perf/")["results"]
    return out | {each["compute_task"]["key"]: repr(each["perf"]) for each in measured}


def _ready(node: Node, functions: Iterable[str]) -> bool:
    found = {each["key"] for each in node.get("/function/", status="FUNCTION_STATUS_READY")["results"]}
    return found >= set(functions)


def _archive(name: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("function.json", json.dumps({"entry": f"functions:{name}"}))
        archive.writestr("functions.py", FUNCTIONS)
    return made.getvalue()


def _digest(value: int) -> str:
    return hashlib.sha256((f"{value} " * 10000).encode()).hexdigest()
