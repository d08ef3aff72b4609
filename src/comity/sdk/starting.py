"""Parameters that an experiment starts from, brought to a network."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

from comity.sdk.client import Client, Files
from comity.sdk.packing import pack
from comity.values import codec
from comity.values.asset_key import is_key
from comity.values.errors import Conflict, InvalidInput
from comity.values.tree import Tree

CODE = """\
import shutil
from pathlib import Path


def give(inputs, outputs, task_properties):
    shutil.copyfile(Path(__file__).with_name("model.safetensors"), outputs["model"])
"""

SAID = {"entry": "start:give"}

LOOK = 0.05
"""Seconds between two looks at the task that brings a model."""


def start_from(client: Client, given: str | Path | Tree, *, at: str, to: str) -> str:
    """The key of a model on the network that `to` may use, empty for none; a tree or a file is brought there.

    It comes as what a task at the caller's own organization leaves, whose function holds it.
    """
    if not given:
        return ""
    if isinstance(given, str) and is_key(given):
        return given
    data = _bytes(given) if isinstance(given, (str, Path)) else codec.encode(given)
    with TemporaryDirectory() as made:
        folder = Path(made, "start")
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(data)
        (folder / "start.py").write_text(CODE)
        (folder / "function.json").write_text(json.dumps(SAID))
        about = Path(made, "description.md")
        about.write_text("# Parameters to start from\n")
        new = {
            "name": "start",
            "permissions": {"public": False, "authorized_ids": []},
            "inputs": {},
            "outputs": {"model": {"kind": "ASSET_MODEL", "form": "tree"}},
        }
        archive = pack(folder, Path(made, "start.tar"))
        function = client.upload("/function/", Files(new, [("file", archive), ("description", about)]))["key"]
    return _left(client, function, at=at, to=to)


def _left(client: Client, function: str, *, at: str, to: str) -> str:
    """The key of the model that the function's task leaves."""
    plan, task = str(uuid.uuid4()), str(uuid.uuid4())
    client.post("/compute_plan/", {"key": plan, "name": "start"})
    permissions = {"public": False, "authorized_ids": [to]}
    new = {
        "key": task,
        "compute_plan_key": plan,
        "function_key": function,
        "worker": at,
        "inputs": [],
        "outputs": {"model": {"permissions": permissions}},
    }
    client.post("/task/bulk_create/", {"tasks": [new]})
    while (status := client.get(f"/task/{task}/")["status"]) != "STATUS_DONE":
        if status in ("STATUS_FAILED", "STATUS_CANCELED"):
            raise Conflict(f"the model to start from was not taken; see why with: comity plan logs {task}")
        time.sleep(LOOK)
    return client.get(f"/task/{task}/output_assets/")["results"][0]["asset"]["key"]


def _bytes(given: str | Path) -> bytes:
    """Of a report folder its model; raises InvalidInput, DecodeError for what is no model."""
    path = Path(given)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise InvalidInput(f"there is no model at {file}; give a report folder, a .safetensors file or a model's key")
    data = file.read_bytes()
    codec.decode(data)
    return data
