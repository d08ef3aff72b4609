"""A disk is full: whoever needs it refuses and says so, nobody dies, and all goes on once there is room."""

import json
import os
import subprocess
import time
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from comity.adapters import disk
from comity.faces.cli.main import app
from comity.values.errors import Unavailable

SECONDS = 60.0
SIZE = disk.LEFT + (64 << 20)


@pytest.fixture
def small(tmp_path):
    """Makes a folder on a disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = []

    def make(name):
        (path := tmp_path / name).mkdir(mode=0o700)
        # Some of a disk is left alone by what users send: what is sent here goes into the rest.
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this machine mounts no small disk: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def filled(path):
    """Nothing more can be written there."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            for size in (1 << 20, 4096):
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break
            yield
        finally:
            filler.unlink()


def comity(*words, **environment):
    done = CliRunner().invoke(app, [str(each) for each in words], env=environment)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def until(reached):
    end = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < end, "waited in vain"


def test_full_disks_of_a_hub_and_of_a_node(small, start, tmp_path):
    hub, a, b = small("hub"), small("a"), tmp_path / "b"
    start("hub at", "hub", "start", "--dir", hub / "hub", "--host", "127.0.0.1", "--port", "0")
    tokens = json.loads(comity("hub", "invite", "a", "b", "--dir", hub / "hub", "--json"))
    asked, programs = {}, []
    for name, here in (("a", a / "a"), ("b", b)):
        said = comity("node", "join", tokens[name], "--dir", here)
        programs.append(start(f"{name} at", "node", "start", "--dir", here, "--port", "0"))
        asked[name] = {"COMITY_NODE": programs[-1].said.split()[-1], "COMITY_USER": "admin"}
        asked[name]["COMITY_PASSWORD"] = said.split("password ")[1].split(",")[0]
    (function := tmp_path / "total").mkdir()
    (function / "function.json").write_text('{"entry": "total:total", "outputs": {"total": {"kind": "ASSET_MODEL"}}}')
    (function / "total.py").write_text("def total(inputs, outputs, task_properties): pass\n")

    def add(owner, name):
        return comity("function", "add", function, "--name", name, "--public", **asked[owner])

    def known(name):
        return {each["name"] for each in json.loads(comity("function", "list", "--json", **asked[name]))}

    def connected(name):
        return json.loads(comity("status", "--json", **asked[name]))["connected"]

    with filled(hub), pytest.raises(Unavailable, match="no room left"):
        comity("hub", "invite", "c", "--dir", hub / "hub")
    comity("hub", "invite", "c", "--dir", hub / "hub")
    until(lambda: connected("a") and connected("b"))
    add("a", "before")

    with filled(a):
        with pytest.raises(Unavailable, match="no room left"):
            add("a", "refused")
        for number in range(3):
            add("b", f"of b {number}")
    until(lambda: {f"of b {number}" for number in range(3)} <= known("a"))
    add("a", "after")
    assert "refused" not in known("a")
    assert all(each.process.poll() is None for each in programs)
