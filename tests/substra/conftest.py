"""Substra's stock clients beside a network of `comity up`: two organizations, as processes, called as Substra's are."""

from __future__ import annotations

import itertools
import json
import tarfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from comity.faces.network import child

ORGANIZATIONS = ("MyOrg1MSP", "MyOrg2MSP")

POLL = 0.05
"""Seconds between two looks at what a test waits for; the stock client has 2."""

SECONDS = 120.0
"""After which a test gives up waiting."""

OPENER = """
import csv
import pathlib

import substratools


class Rows(substratools.Opener):
    def get_data(self, folders):
        rows = []
        for folder in folders:
            for each in csv.reader(pathlib.Path(folder, "rows.csv").read_text().splitlines()):
                rows.append([int(cell) for cell in each])
        return {"rows": rows, "folders": [pathlib.Path(each).name for each in folders]}

    def fake_data(self, n_samples=1):
        return {"rows": [[1, 2]] * (n_samples or 1), "folders": []}
"""

CODE = """
import json
import pathlib
import sys

import substratools


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def write(value, path):
    pathlib.Path(path).write_text(json.dumps(value))


@substratools.register
def train(inputs, outputs, task_properties):
    before = sum(read(each)["value"] for each in inputs.get("models", []))
    rows = inputs["datasamples"]["rows"]
    write({"value": before + sum(y for _, y in rows), "rank": task_properties["rank"]}, outputs["model"])


@substratools.register
def aggregate(inputs, outputs, task_properties):
    values = [read(each)["value"] for each in inputs["models"]]
    write({"value": sum(values) / len(values)}, outputs["model"])


@substratools.register
def predict(inputs, outputs, task_properties):
    value = read(inputs["model"])["value"]
    write([x * value for x, _ in inputs["datasamples"]["rows"]], outputs["predictions"])


@substratools.register
def score(inputs, outputs, task_properties):
    truth = [y for _, y in inputs["datasamples"]["rows"]]
    substratools.save_performance(sum(read(inputs["predictions"])) - sum(truth), outputs["performance"])


@substratools.register
def order(inputs, outputs, task_properties):
    write({"value": inputs["datasamples"]["folders"]}, outputs["model"])


@substratools.register
def fail(inputs, outputs, task_properties):
    print("the rows are", inputs["datasamples"]["rows"])
    print("this goes to the log", file=sys.stderr)
    raise ValueError("these rows cannot be learnt from")


if __name__ == "__main__":
    substratools.execute()
"""

DOCKERFILE = """FROM python:3.11-slim
RUN pip install substratools==1.0.0
COPY function.py .
ENTRYPOINT ["python3", "function.py", "--function-name", "{name}"]
"""

DATA = (("opener", "ASSET_DATA_MANAGER", False, False), ("datasamples", "ASSET_DATA_SAMPLE", False, True))
MODELS = ("models", "ASSET_MODEL", True, True)
SIGNATURES: Mapping[str, tuple[Sequence[tuple[str, str, bool, bool]], Sequence[tuple[str, str]]]] = {
    "train": ((*DATA, MODELS), (("model", "ASSET_MODEL"),)),
    "aggregate": ((MODELS,), (("model", "ASSET_MODEL"),)),
    "predict": ((*DATA, ("model", "ASSET_MODEL", False, False)), (("predictions", "ASSET_MODEL"),)),
    "score": ((*DATA, ("predictions", "ASSET_MODEL", False, False)), (("performance", "ASSET_PERFORMANCE"),)),
    "order": (DATA, (("model", "ASSET_MODEL"),)),
    "fail": (DATA, (("model", "ASSET_MODEL"),)),
}
"""What each function takes, as (name, kind, whether optional, whether multiple), and leaves."""


@dataclass
class Assets:
    """Makes what a test registers, in a folder of its own; everything is public unless said otherwise."""

    OPENER: ClassVar[str] = OPENER
    CODE: ClassVar[str] = CODE
    DOCKERFILE: ClassVar[str] = DOCKERFILE

    substra: ModuleType
    clients: Sequence[Any]
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def permissions(self, *organizations: str, public: bool = False) -> Any:
        return self.substra.schemas.Permissions(public=public, authorized_ids=list(organizations))

    @property
    def everyone(self) -> Any:
        return self.permissions(public=True)

    def seen(self, noun: str, key: str) -> str:
        """The key, once every node knows it: one that has just heard of it knows it a moment later."""
        end = time.monotonic() + SECONDS
        for client in self.clients:
            while True:
                try:
                    getattr(client, f"get_{noun}")(key)
                    break
                except self.substra.exceptions.NotFound:
                    assert time.monotonic() < end, f"a node never heard of the {noun} {key}"
                    time.sleep(POLL)
        return key

    def new(self) -> Path:
        folder = self.folder / str(next(self.numbers))
        folder.mkdir(parents=True)
        return folder

    def dataset(self, client: Any, **more: Any) -> str:
        """The key of a new dataset."""
        folder = self.new()
        (folder / "opener.py").write_text(OPENER)
        (folder / "description.md").write_text("# Rows\n")
        spec = {
            "name": "rows",
            "data_opener": folder / "opener.py",
            "description": folder / "description.md",
            "permissions": self.everyone,
            "logs_permission": self.everyone,
            **more,
        }
        return self.seen("dataset", client.add_dataset(self.substra.schemas.DatasetSpec(**spec)))

    def rows(self, text: str = "1,2\n") -> Path:
        """A folder of rows."""
        folder = self.new()
        (folder / "rows.csv").write_text(text)
        return folder

    def sample(self, client: Any, dataset: str, text: str = "1,2\n") -> str:
        """The key of a new sample of a dataset."""
        spec = self.substra.schemas.DataSampleSpec(path=self.rows(text), data_manager_keys=[dataset])
        return self.seen("data_sample", client.add_data_sample(spec))

    def archive(self, name: str, *, code: str = CODE, dockerfile: str = DOCKERFILE) -> Path:
        """A function as Substra packs it."""
        folder = self.new()
        (folder / "function.py").write_text(code)
        (folder / "Dockerfile").write_text(dockerfile.replace("{name}", name))
        with tarfile.open(folder / "function.tar.gz", "w:gz") as packed:
            for each in ("function.py", "Dockerfile"):
                packed.add(folder / each, each)
        return folder / "function.tar.gz"

    def function(self, client: Any, does: str = "train", *, archive: Path | None = None, **more: Any) -> str:
        """The key of a new function, one of those above."""
        schemas, (takes, leaves) = self.substra.schemas, SIGNATURES[does]
        description = self.new() / "description.md"
        description.write_text(f"# {does}\n")
        spec = {
            "name": does,
            "description": description,
            "file": archive or self.archive(does),
            "permissions": self.everyone,
            "inputs": [
                schemas.FunctionInputSpec(identifier=each, kind=kind, optional=optional, multiple=multiple)
                for each, kind, optional, multiple in takes
            ],
            "outputs": [
                schemas.FunctionOutputSpec(identifier=each, kind=kind, multiple=False) for each, kind in leaves
            ],
            **more,
        }
        return self.seen("function", client.add_function(schemas.FunctionSpec(**spec)))

    def data(self, dataset: str, *samples: str) -> list[Any]:
        """The inputs of a task on a dataset."""
        ref = self.substra.schemas.InputRef
        return [
            ref(identifier="opener", asset_key=dataset),
            *(ref(identifier="datasamples", asset_key=each) for each in samples),
        ]

    def after(self, parent: str, output: str, identifier: str) -> Any:
        """An output of another task as an input."""
        return self.substra.schemas.InputRef(
            identifier=identifier, parent_task_key=parent, parent_task_output_identifier=output
        )

    def outputs(self, name: str = "model", permissions: Any = None, *, transient: bool = False) -> dict[str, Any]:
        made = self.substra.schemas.ComputeTaskOutputSpec(permissions=permissions or self.everyone, transient=transient)
        return {name: made}

    def task(self, function: str, worker: str, inputs: Sequence[Any], outputs: Any = None, **more: Any) -> Any:
        """A task of a plan."""
        return self.substra.schemas.ComputePlanTaskSpec(
            task_id=str(uuid.uuid4()),
            function_key=function,
            worker=worker,
            inputs=list(inputs),
            outputs=self.outputs() if outputs is None else outputs,
            **more,
        )

    def alone(self, function: str, worker: str, inputs: Sequence[Any], outputs: Any = None, **more: Any) -> Any:
        """A task that is added by itself."""
        return self.substra.schemas.TaskSpec(
            function_key=function,
            worker=worker,
            inputs=list(inputs),
            outputs=self.outputs() if outputs is None else outputs,
            **{"metadata": {}, "tag": "", "compute_plan_key": str(uuid.uuid4()), **more},
        )

    def plan(self, *tasks: Any, **more: Any) -> Any:
        return self.substra.schemas.ComputePlanSpec(**{"name": "study", "tasks": list(tasks), **more})


@pytest.fixture(scope="package")
def substra() -> ModuleType:
    """The stock package."""
    return pytest.importorskip("substra", reason="Substra's stock clients are installed with Python 3.11 only")


@pytest.fixture(scope="package")
def nodes(substra: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Generator[list[Mapping[str, str]]]:
    """What `comity up` says of each node: its organization, url, user and password."""
    started = child.start(ORGANIZATIONS, tmp_path_factory.mktemp("substra") / "network")
    yield started.said["nodes"]
    started.end()


@pytest.fixture(scope="package")
def connect(substra: ModuleType, nodes: list[Mapping[str, str]]) -> Generator[Callable[..., Any]]:
    """A stock client of one organization, counted from 0, which logs out in the end."""
    with ExitStack() as stack:

        def connected(number: int, **more: Any) -> Any:
            node = nodes[number]
            login = {"url": node["url"], "username": node["user"], "password": node["password"]}
            made = substra.Client(**{"backend_type": substra.BackendType.REMOTE, **login, **more})
            return stack.enter_context(made)

        yield connected


@pytest.fixture(scope="package")
def clients(connect: Callable[..., Any]) -> list[Any]:
    """A stock client of each organization."""
    return [connect(number) for number in range(len(ORGANIZATIONS))]


@pytest.fixture(scope="package")
def assets(substra: ModuleType, clients: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Assets:
    return Assets(substra, clients, tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="package")
def wait(substra: ModuleType) -> Callable[..., Any]:
    """What a thing is once it has ended, by a client's own method; `raises` whether failing is an error."""

    def waited(method: Callable[..., Any], key: str, *, raises: bool = True) -> Any:
        return method(key, timeout=SECONDS, polling_period=POLL, raise_on_failure=raises)

    return waited


@pytest.fixture(scope="package")
def read_json() -> Callable[[Path], Any]:
    return lambda path: json.loads(Path(path).read_text())
