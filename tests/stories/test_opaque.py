"""Functions with a pickle among their files: what a node's policy makes of them, told by Substra's stock client."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

substra = pytest.importorskip("substra", reason="substra is not installed for this Python")

FILES = {
    "Dockerfile": b"""FROM python:3.11-slim
RUN pip install substratools
COPY . .
ENTRYPOINT ["python3", "function.py", "--function-name", "count"]
""",
    "function.py": b"""
import pickle
from pathlib import Path
import substratools as tools

@tools.register
def count(inputs, outputs, task_properties):
    number = pickle.loads(Path(__file__).with_name("number.pickle").read_bytes())
    tools.save_performance(number, outputs["number"])

if __name__ == "__main__":
    tools.execute()
""",
    "number.pickle": b"\x80\x04K*.",  # 42
}
PUBLIC = substra.schemas.Permissions(public=True, authorized_ids=[])


@pytest.fixture
def client(start, tmp_path):
    """Start a network with these arguments; gives the stock client of `left` and the network's folder."""
    made = []

    def begin(*arguments):
        folder = tmp_path / "network"
        said = json.loads(start("{", "up", "--names", "left,right", "--dir", folder, "--json", *arguments).said)
        left = said["nodes"][0]
        client = substra.Client(
            url=left["url"], username=left["user"], password=left["password"], backend_type="remote"
        )
        made.append(client)
        return made[-1], folder

    yield begin
    for each in made:
        each.logout()


def counted(client, tmp_path, worker):
    """The key of a task that counts, at the worker."""
    with tarfile.open(tmp_path / "function.tar.gz", "w:gz") as file:
        for name, data in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    (tmp_path / "about.md").write_text("counts")
    output = substra.schemas.FunctionOutputSpec(identifier="number", kind="ASSET_PERFORMANCE", multiple=False)
    function = client.add_function(
        substra.schemas.FunctionSpec(
            name="count",
            description=tmp_path / "about.md",
            file=tmp_path / "function.tar.gz",
            permissions=PUBLIC,
            inputs=[],
            outputs=[output],
        )
    )
    made = substra.schemas.ComputeTaskOutputSpec(permissions=PUBLIC)
    spec = substra.schemas.TaskSpec(
        function_key=function,
        worker=worker,
        inputs=[],
        outputs={"number": made},
        tag="",
        metadata={},
        compute_plan_key=None,
        rank=None,
    )
    return client.add_task(spec)


def test_a_network_of_one_machine_lets_them_in(client, tmp_path):
    stock, _ = client()
    task = stock.wait_task(counted(stock, tmp_path, "right"), timeout=60)
    assert stock.get_task_output_asset(task.key, "number").asset == 42


@pytest.mark.parametrize("worker", ["left", "right"])
def test_where_they_are_denied_they_fail_with_the_reason(client, tmp_path, worker):
    stock, _ = client("--opaque", "deny")
    key = counted(stock, tmp_path, worker)
    task = stock.wait_task(key, timeout=60, raise_on_failure=False)
    assert task.status == substra.models.ComputeTaskStatus.failed
    assert task.error_type == substra.models.TaskErrorType.execution
    assert "nobody can read 'number.pickle'" in stock.get_logs(key)


def test_where_they_are_a_steward_s_they_wait_for_the_word(client, tmp_path):
    stock, folder = client("--opaque", "ask")
    key = counted(stock, tmp_path, "right")
    comity = [str(Path(sys.executable).parent / "comity"), "approve"]
    here = ["--as", "right", "--dir", str(folder), "--json"]
    function = stock.get_task(key).function.key
    stock.wait_function(function, timeout=60)
    assert stock.get_task(key).status == substra.models.ComputeTaskStatus.waiting_for_builder_slot
    (listed,) = json.loads(subprocess.check_output([*comity, *here]))
    assert (listed["function"]["key"], listed["approved"]) == (function, None)
    shown = json.loads(subprocess.check_output([*comity, function, "--show", *here]))
    assert "are not shown" in shown["files"]["number.pickle"]
    assert shown["locked"] == ["substratools==1.0.0"]
    subprocess.check_output([*comity, function, "--yes", *here])
    assert stock.wait_task(key, timeout=60).status == substra.models.ComputeTaskStatus.done
