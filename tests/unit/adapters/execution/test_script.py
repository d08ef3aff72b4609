"""Scripts with substratools' command line, run in real processes."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comity.adapters.environments import interpreters
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.own import environment
from comity.adapters.environments.venvs import Venvs
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.job import Status
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.way import Way
from comity.values.errors import BuildFailed
from comity.values.wanted import Wanted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")

TOLD = """
import json, os, sys
arguments = [line.rstrip("\\n") for line in open(sys.argv[-1][1:])]
said = dict(zip(arguments[::2], map(json.loads, arguments[1::2])))
told = {"argv": sys.argv, "said": said, "cwd": sorted(os.listdir()), "path": sys.path[0], "file": __file__,
        "name": __name__, "variables": {name: os.environ.get(name) for name in ("A", "OMP_NUM_THREADS", "HOME")},
        "version": sys.version_info[:2], "here": open("here.txt").read()}
open("new.txt", "w").close()
(output,) = said["--outputs"]
json.dump(told, open(output["value"], "w"))
"""


@pytest.fixture
def image(tmp_path):
    """Write the image of a script; gives its folder."""

    def make(text: str, **said) -> Path:
        folder = tmp_path / "one.image"
        home = folder / "files" / "app"
        home.mkdir(parents=True)
        (home / "function.py").write_text(text)
        (home / "here.txt").write_text("here")
        default = {
            "script": "app/function.py",
            "module": "",
            "arguments": ["--function-name", "train"],
            "folder": "app",
        }
        (folder / "image.json").write_text(json.dumps({**default, "variables": {}, **said}))
        return folder

    return make


@pytest.fixture(params=[Level.BUBBLEWRAP, Level.PLAIN])
def level(request):
    if request.param is Level.BUBBLEWRAP and shutil.which("bwrap") is None:
        pytest.skip("there is no bwrap here")
    return request.param


def outcome(job, folder, level, environment=environment(())):  # noqa: B008
    async def main():
        pool = Pool(1, folder / "sandboxes", Way(level=level))
        await pool.start()
        try:
            return await pool.run(environment, job)
        finally:
            await pool.close()

    return asyncio.run(main())


def test_a_script_is_the_main_program_with_its_arguments_in_a_file(image, job, tmp_path, level):
    for name in ("opener.py", "model", "s1/x", "s2/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    given = job(
        image(TOLD, variables={"A": "1", "OMP_NUM_THREADS": "8"}),
        ("told",),
        rank=3,
        inputs={"model": tmp_path / "model", "many": (tmp_path / "model", tmp_path / "model")},
        opener=tmp_path / "opener.py",
        samples=(tmp_path / "s2", tmp_path / "s1"),
    )
    found = outcome(given, tmp_path, level)
    assert found.status is Status.DONE, given.log.read_text()
    told = json.loads(given.outputs["told"].read_text())
    script, *arguments, file = told["argv"]
    assert arguments == ["--function-name", "train"]
    assert file.startswith("@/")
    assert script == told["file"]
    assert told["path"] == str(Path(script).parent)
    assert told["name"] == "__main__"
    assert told["said"]["--task-properties"] == {"rank": 3}
    assert [(each["id"], each["multiple"]) for each in told["said"]["--inputs"]] == [
        ("opener", False),
        *[("datasamples", True)] * 2,
        ("model", False),
        *[("many", True)] * 2,
    ]
    samples = [Path(each["value"]).name for each in told["said"]["--inputs"] if each["id"] == "datasamples"]
    assert samples == ["s2", "s1"]
    assert [each["id"] for each in told["said"]["--outputs"]] == ["told"]
    # the image's folder is where it runs, and it may write there, which the next does not see
    assert told["cwd"] == ["function.py", "here.txt"]
    assert told["here"] == "here"
    assert told["variables"]["A"] == "1"
    assert told["variables"]["OMP_NUM_THREADS"] == "1"
    assert found.durations["task_execution"] > 0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("raise ValueError('no rows')", "ValueError: no rows"),
        ("import sys; sys.exit('badly')", "SystemExit"),
        ("import sys; sys.exit(2)", "SystemExit in task_execution"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_a_script_that_fails_says_how(image, job, tmp_path, script, said):
    given = job(image(script))
    found = outcome(given, tmp_path, Level.PLAIN)
    assert found.status is Status.FAILED
    assert said in given.log.read_text()
    assert "comity/adapters" not in given.log.read_text()


def test_a_script_may_end_itself_well(image, job, tmp_path):
    assert outcome(job(image("import sys; sys.exit(0)")), tmp_path, Level.PLAIN).status is Status.DONE


def test_a_module_can_be_run(image, job, tmp_path):
    given = job(image("", script="", module="function", arguments=[]), ("o",))
    (given.bundle / "files/app/function.py").write_text(TOLD)
    assert outcome(given, tmp_path, Level.PLAIN).status is Status.DONE, given.log.read_text()
    assert json.loads(given.outputs["o"].read_text())["name"] == "__main__"


def test_classes_of_the_script_can_be_pickled(image, job, tmp_path):
    script = "import pickle\nclass A: pass\nassert type(pickle.loads(pickle.dumps(A()))) is A"
    given = job(image(script))
    assert outcome(given, tmp_path, Level.PLAIN).status is Status.DONE, given.log.read_text()


@pytest.mark.parametrize("minor", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_it_runs_in_another_python_of_the_machine(image, job, tmp_path, level, minor, runner_wheels):
    try:
        interpreters.found(minor)
    except BuildFailed as error:
        pytest.skip(str(error))

    async def had():
        environments = Venvs(tmp_path / "environments", Builds(index="", wheels=runner_wheels(minor), own=False))
        await environments.start()
        async with environments.using(Wanted(python=minor)) as found:
            return found

    given = job(image(TOLD), ("told",))
    found = outcome(given, tmp_path, level, asyncio.run(had()))
    assert found.status is Status.DONE, (found, given.log.exists() and given.log.read_text())
    assert json.loads(given.outputs["told"].read_text())["version"] == list(minor)


@pytest.fixture
def runner_wheels(tmp_path):
    """A folder of wheels with what another Python needs to run scripts, from the index of this machine."""

    def make(minor):
        folder = tmp_path / "wheels"
        folder.mkdir()
        if minor != interpreters.OWN.minor:
            from importlib.metadata import version

            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d"]
            command += [str(folder), "--python-version", ".".join(map(str, minor)), f"msgspec=={version('msgspec')}"]
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
            if done.returncode != 0:
                pytest.skip(f"msgspec for Python {minor} cannot be had here")
        return folder

    return make
