"""Bundles and jobs in a temporary folder."""

import os
from itertools import count
from pathlib import Path

import pytest

from comity.adapters.environments.own import environment
from comity.adapters.execution.job import Job
from comity.ports.environments import Environment


@pytest.fixture
def bundle(tmp_path):
    """Write a bundle whose function `f` has this body; gives its folder."""
    numbers = count()

    def make(body: str, before: str = "") -> Path:
        folder = tmp_path / f"bundle{next(numbers)}"
        folder.mkdir()
        (folder / "function.json").write_text('{"entry": "work:f"}')
        indented = "".join(f"    {line}\n" for line in body.splitlines())
        (folder / "work.py").write_text(f"{before}\ndef f(inputs, outputs, task_properties):\n{indented}")
        return folder

    return make


@pytest.fixture
def job(tmp_path):
    """A job of a bundle, with a log and a folder for its outputs of its own."""
    numbers = count()

    def make(bundle: Path, outputs: tuple[str, ...] | dict[str, Path] = (), **given) -> Job:
        key = f"task{next(numbers)}"
        into = tmp_path / f"outputs-{key}"
        into.mkdir()
        fields = {
            "task_key": key,
            "plan_key": "plan",
            "rank": 0,
            "bundle": bundle,
            "outputs": outputs if isinstance(outputs, dict) else {name: into / name for name in outputs},
            "log": tmp_path / f"{key}.log",
            "seconds": 60.0,
        }
        return Job(**{**fields, **given})

    return make


@pytest.fixture
def own() -> Environment:
    """What the tests run in."""
    return environment(())


@pytest.fixture
def pipe(tmp_path):
    """A named pipe that tests and tasks wait at for each other."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path
