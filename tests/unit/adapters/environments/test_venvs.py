"""Virtual environments: really built, from wheels in a folder, by uv and by pip."""

import asyncio
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from importlib import metadata

import pytest

from comity.adapters import disk
from comity.adapters.disk import is_full
from comity.adapters.environments import installer, scripts
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.venvs import READY, Venvs
from comity.adapters.execution.linux import children_of
from comity.values.errors import BuildFailed, InvalidInput
from comity.values.requirements import decode

COMITY = metadata.version("comity")


@pytest.fixture
def wheels(tmp_path, wheel):
    """A folder with two versions of `tiny`."""
    for version in ("1.0", "2.0"):
        wheel(tmp_path / "wheels", "tiny", version, {"tiny.py": f"version = {version!r}\n"})
    return tmp_path / "wheels"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "environments"


def run(folder, builds, work):
    """What `work(environments)` gives, of a store that was started anew."""

    async def main():
        environments = Venvs(folder, builds)
        await environments.start()
        return await work(environments)

    return asyncio.run(main())


async def had(environments, *lines):
    async with environments.using(decode(lines)) as environment:
        return environment


def has(environment, code):
    """What code prints in an environment."""
    command = [environment.python, "-I", "-B", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def built(folder):
    return sorted(path.parent.name for path in folder.glob(f"*/{READY}"))


@pytest.fixture(params=["uv", "pip"])
def tool(request, monkeypatch):
    if request.param == "pip":
        monkeypatch.setattr(installer, "uv", lambda: None)
    elif installer.uv() is None:
        pytest.skip("uv is not installed")


def test_it_has_what_is_locked_and_comity_and_nothing_else(folder, wheels, tool):
    builds = Builds(index="", wheels=wheels)
    environment = run(folder, builds, lambda made: had(made, "tiny==1.0", f"comity=={COMITY}"))
    assert has(environment, "import tiny; print(tiny.version)") == "1.0"
    # the node's own comity, with what a task's process needs
    code = "import comity.adapters.execution.base, comity.values.codec, comity, numpy; print(comity.__file__)"
    assert has(environment, code).startswith(str(folder))
    assert has(environment, "import importlib.metadata; print(importlib.metadata.version('comity'))") == COMITY
    code = "import importlib.util as u; print([each for each in ('starlette', 'aiohttp', 'pip') if u.find_spec(each)])"
    assert has(environment, code) == "[]"
    # it is compiled, since nobody can write there when it is used
    assert list(folder.glob("*/venv/lib/*/site-packages/__pycache__/tiny.*.pyc"))


LOUD = """
import sys
class Loud:
    @staticmethod
    def hello():
        print("hello", *sys.argv[1:])
        return 3
"""


def test_programs_that_packages_bring_lie_beside_its_python(folder, wheel, tmp_path, tool):
    points = "[console_scripts]\nsay-hello = loud.inner:Loud.hello\n"
    files = {"loud/__init__.py": "", "loud/inner.py": LOUD, "loud-1.0.dist-info/entry_points.txt": points}
    wheel(tmp_path / "wheels", "loud", "1.0", files)
    builds = Builds(index="", wheels=tmp_path / "wheels")
    environment = run(folder, builds, lambda made: had(made, "loud==1.0"))
    said = subprocess.run([environment.python.parent / "say-hello", "a b"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (3, "hello a b\n")


def test_names_of_programs_that_are_none(tmp_path):
    odd = ["python = a:b", "python3.11 = a:b", "../up = a:b", "x = a b:c", "y = a:b(", "z = a", "sh;ls = a:b"]
    (tmp_path / "packages" / "bad-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "packages" / "bad-1.0.dist-info" / "METADATA").write_text("Name: bad\nVersion: 1.0\n")
    text = "\n".join(["[console_scripts]", *odd, "good = a:b [more]"])
    (tmp_path / "packages" / "bad-1.0.dist-info" / "entry_points.txt").write_text(text)
    (tmp_path / "bin").mkdir()
    scripts.write(tmp_path / "packages", tmp_path / "bin")
    assert [each.name for each in (tmp_path / "bin").iterdir()] == ["good"]


def test_what_it_reads_lies_in_its_mounts(folder, wheels):
    environment = run(folder, Builds(index="", wheels=wheels), lambda made: had(made, "tiny==1.0"))
    code = (
        "import sys, os, tiny, comity.adapters.execution.base, numpy, scipy.optimize;"
        "files = {m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)};"
        "print('\\n'.join({os.path.realpath(file) for file in files}))"
    )
    mounts = [mount.resolve() for mount in environment.mounts]
    for path in has(environment, code).splitlines():
        assert any(os.path.commonpath([path, mount]) == str(mount) for mount in mounts), path


def test_the_same_requirements_are_the_same_environment_and_others_another(folder, wheels):
    async def work(made):
        return [
            await had(made, *lines)
            for lines in (["tiny==1.0"], ["Tiny==1.0.0"], ["tiny==1.0", "x==1; os_name=='no'"], ["tiny==2.0"])
        ]

    first, spelt, marked, other = run(folder, Builds(index="", wheels=wheels), work)
    assert first.python == marked.python
    assert len({first.digest, other.digest}) == 2
    assert first.digest == marked.digest
    assert has(spelt, "import tiny; print(tiny.version)") == "1.0"


def test_it_is_built_once_however_many_ask_and_found_after_a_restart(folder, wheels):
    async def many(made):
        return await asyncio.gather(*(had(made, "tiny==1.0") for _ in range(4)))

    builds = Builds(index="", wheels=wheels)
    found = run(folder, builds, many)
    assert len(built(folder)) == 1
    again = run(folder, Builds(index=""), lambda made: had(made, "tiny==1.0"))
    assert {*found} == {again}


def test_what_is_deleted_by_hand_is_built_again(folder, wheels):
    async def work(made):
        first = await had(made, "tiny==1.0")
        (folder / built(folder)[0] / READY).unlink()
        return first, await had(made, "tiny==1.0")

    first, second = run(folder, Builds(index="", wheels=wheels), work)
    assert first.digest == second.digest
    assert first.python != second.python


def test_the_own_environment_serves_where_it_has_just_that(folder, wheels):
    numpy = metadata.version("numpy")

    async def work(made):
        return [await had(made, f"numpy=={numpy}", f"comity=={COMITY}"), await had(made, "nothing==1; os_name=='no'")]

    for own in run(folder, Builds(index="", wheels=wheels), work):
        assert str(own.python) == sys.executable
    assert built(folder) == []
    # where it is not offered, only what requires nothing runs there
    offered = run(folder, Builds(index="", wheels=wheels, own=False), lambda made: had(made, f"comity=={COMITY}"))
    assert str(offered.python) != sys.executable
    assert len(built(folder)) == 1


def test_another_comity_is_refused(folder):
    with pytest.raises(BuildFailed, match=f"locked to comity 99, and this node has {COMITY}"):
        run(folder, Builds(index=""), lambda made: had(made, "comity==99"))


def test_a_failed_build_leaves_its_log_and_nothing_else(folder, wheels, tool):
    async def work(made):
        with pytest.raises(BuildFailed, match="could not be installed"):
            await had(made, "tiny==3.0")
        return await made.log(decode(["tiny==3.0"]))

    log = run(folder, Builds(index="", wheels=wheels), work)
    assert "tiny is not installed for the node itself" in log
    assert "tiny==3.0" in log
    assert sorted(path.name for path in folder.iterdir()) == ["logs", "runner"]


@pytest.mark.parametrize(
    "said",
    [
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "error: Failed to install: tiny: failed to write to file: No space left on device (os error 28)",
        "error: failed to write to file: Disk quota exceeded (os error 122)",
    ],
)
def test_a_full_disk_is_no_fault_of_what_is_required(folder, wheels, monkeypatch, said):
    words = ["/bin/sh", "-c", 'printf "%s\\n" "$0"; exit 2', said]
    monkeypatch.setattr(installer, "_command", lambda *_: words)
    builds = Builds(index="", wheels=wheels)
    with pytest.raises(OSError, match="No space left") as raised:
        run(folder, builds, lambda made: had(made, "tiny==1.0"))
    assert is_full(raised.value)
    assert built(folder) == []
    monkeypatch.undo()
    assert run(folder, builds, lambda made: had(made, "tiny==1.0"))  # once there is room


def test_nothing_is_fetched_while_there_is_no_room(folder, wheels, monkeypatch):
    monkeypatch.setattr(disk, "LEFT", 1 << 62)
    with pytest.raises(OSError, match="are free") as raised:
        run(folder, Builds(index="", wheels=wheels), lambda made: had(made, "tiny==1.0"))
    assert is_full(raised.value)


def test_requirements_that_are_not_complete_are_refused(folder, wheels, wheel):
    wheel(wheels, "large", "1.0", {"large.py": ""}, needs=["tiny>=2", "absent; extra == 'more'"])
    builds = Builds(index="", wheels=wheels)
    with pytest.raises(
        BuildFailed, match=r"not complete: large needs tiny>=2, and it is not installed; lock that as well"
    ):
        run(folder, builds, lambda made: had(made, "large==1.0"))
    with pytest.raises(BuildFailed, match=r"large needs tiny>=2, and it is 1\.0"):
        run(folder, builds, lambda made: had(made, "large==1.0", "tiny==1.0"))
    with pytest.raises(BuildFailed, match="large needs absent"):
        run(folder, builds, lambda made: had(made, "large[more]==1.0", "tiny==2.0"))
    run(folder, builds, lambda made: had(made, "large==1.0", "tiny==2.0"))


def test_hashes_are_checked(folder, wheels, tool):
    right = hashlib.sha256((wheels / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    builds = Builds(index="", wheels=wheels)
    run(folder, builds, lambda made: had(made, f"tiny==1.0 --hash=sha256:{right}"))
    with pytest.raises(BuildFailed):
        run(folder, builds, lambda made: had(made, f"tiny==1.0 --hash=sha256:{'0' * 64}"))


def test_nothing_is_built_from_source_and_nothing_of_a_wheel_is_run(folder, wheels, wheel, tmp_path, tool):
    ran = tmp_path / "ran"
    wheel(wheels, "eager", "1.0", {"eager.pth": f"import os; os.mkdir({str(ran)!r})\n"})
    source = tmp_path / "source"
    source.mkdir()
    (source / "setup.py").write_text(f"import os, setuptools; os.mkdir({str(ran)!r}); setuptools.setup()")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: unbuilt\nVersion: 1.0\n")
    subprocess.run(
        ["tar", "-czf", wheels / "unbuilt-1.0.tar.gz", "--transform=s,^.,unbuilt-1.0,", "-C", source, "."], check=True
    )
    builds = Builds(index="", wheels=wheels)
    run(folder, builds, lambda made: had(made, "eager==1.0"))
    with pytest.raises(BuildFailed):
        run(folder, builds, lambda made: had(made, "unbuilt==1.0"))
    assert not ran.exists()


def test_room_is_made_of_what_was_used_longest_ago_and_is_not_in_use(folder, wheels, wheel):
    for name in "abc":
        wheel(wheels, f"fat{name}", "1.0", {f"fat{name}.py": f"# {'x' * 400_000}\n"})
    builds = Builds(index="", wheels=wheels, bytes=1_300_000)

    async def work(made):
        there = []

        async def see():
            there.append([name for name in "abc" if await made.has(decode([f"fat{name}==1.0"]))])

        for name in ("a", "b", "a", "c"):
            await had(made, f"fat{name}==1.0")
            await see()
        async with made.using(decode(["fata==1.0"])) as kept:
            await had(made, "fatb==1.0")
            await had(made, "fatc==1.0")
            assert kept.python.exists()
            await see()
        return there

    # a venv has from 0.03 to 0.25 MB of its own, so that two of them fit and three do not
    assert run(folder, builds, work) == [["a"], ["a", "b"], ["a", "b"], ["a", "c"], ["a", "c"]]
    assert len(built(folder)) == 2

    # what was used last is known after a restart too
    async def after(made):
        await had(made, "fatb==1.0")
        return [await made.has(decode([f"fat{name}==1.0"])) for name in "abc"]

    assert run(folder, builds, after) == [False, True, True]


class Index(http.server.BaseHTTPRequestHandler):
    """A package index that asks for a password and then keeps whoever asks waiting."""

    def do_GET(self):
        self.server.heard.append(self.headers["Authorization"])
        if self.headers["Authorization"] is None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
            return
        self.server.asked.set()
        self.server.go_on.wait(30)
        self.send_response(404)
        self.end_headers()

    def log_message(self, format, *arguments): ...


@pytest.fixture
def index():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.daemon_threads = True
    server.asked, server.go_on, server.heard = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_password_of_an_index_is_used_and_not_shown(folder, index, tool):
    index.go_on.set()
    builds = Builds(index=f"http://some-user:s3cr%2Ft@127.0.0.1:{index.server_port}/simple")

    async def work(made):
        with pytest.raises(BuildFailed):
            await had(made, "tiny==1.0")
        return await made.log(decode(["tiny==1.0"]))

    log = run(folder, builds, work)
    assert "Basic c29tZS11c2VyOnMzY3IvdA==" in index.heard  # some-user:s3cr/t
    assert "tiny" in log
    assert "s3cr" not in log
    assert "some-user" not in log


def test_a_build_ends_with_its_time_and_with_its_caller(folder, index, tool):
    address = f"http://user:word@127.0.0.1:{index.server_port}/simple"
    others = children()

    async def cancelled(made):
        build = asyncio.create_task(had(made, "tiny==1.0"))
        await asyncio.to_thread(index.asked.wait, 30)
        assert children() - others
        build.cancel()
        with pytest.raises(asyncio.CancelledError):
            await build
        assert "the build was cancelled" in await made.log(decode(["tiny==1.0"]))

    run(folder, Builds(index=address), cancelled)
    assert not children() - others
    with pytest.raises(BuildFailed, match=r"took longer than 0\.05 seconds"):
        run(folder, Builds(index=address, seconds=0.05), lambda made: had(made, "tiny==1.0"))
    assert not children() - others
    assert sorted(path.name for path in folder.iterdir()) == ["logs", "runner"]


def children():
    return children_of(os.getpid())


NODE = """
import asyncio, sys
from pathlib import Path
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.venvs import Venvs
from comity.values.requirements import decode

async def main():
    made = Venvs(Path(sys.argv[1]), Builds(index=sys.argv[2]))
    await made.start()
    async with made.using(decode(["tiny==1.0"])):
        pass

asyncio.run(main())
"""


def test_a_crash_in_mid_build_leaves_nothing_half_done(folder, index, wheels):
    address = f"http://user:word@127.0.0.1:{index.server_port}/simple"
    node = subprocess.Popen([sys.executable, "-c", NODE, str(folder), address])
    assert index.asked.wait(30)
    node.send_signal(signal.SIGKILL)
    node.wait()
    index.go_on.set()  # which lets the installer end that has lost its node
    half = [path for path in folder.iterdir() if path.name not in ("logs", "runner")]
    assert len(half) == 1
    environment = run(folder, Builds(index="", wheels=wheels), lambda made: had(made, "tiny==1.0"))
    assert has(environment, "import tiny; print(tiny.version)") == "1.0"
    assert built(folder) == [environment.python.parents[2].name]
    assert not (half[0] / "requirements.txt").exists()


def test_what_it_keeps_of_an_environment_is_readable(folder, wheels):
    environment = run(folder, Builds(index="", wheels=wheels), lambda made: had(made, "tiny==1.0"))
    kept = json.loads((folder / built(folder)[0] / READY).read_text())
    assert kept["digest"] == environment.digest
    assert kept["requirements"] == ["tiny==1.0"]
    # a damaged one is no environment
    (folder / built(folder)[0] / READY).write_text("{")
    run(folder, Builds(index="", wheels=wheels), lambda made: had(made, "tiny==1.0"))
    assert len(built(folder)) == 1


@pytest.mark.parametrize("wrong", [{"bytes": -1}, {"seconds": 0}, {"at_once": 0}])
def test_limits_are_numbers_that_make_sense(wrong):
    with pytest.raises(InvalidInput):
        Builds(**wrong)
