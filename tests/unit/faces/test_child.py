"""A network as a child of a process: ready when it says so, and gone with who started it."""

import os
import sys
from pathlib import Path

import pytest

from comity.faces.network import child
from comity.faces.network.forked import Forked, _closed
from comity.values.errors import Unavailable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no shell")

READY = 'echo \'{"hub": "https://h", "nodes": []}\''


@pytest.fixture
def program(tmp_path, monkeypatch):
    """In place of `python -m comity`: a script, which keeps what it was called with."""

    def write(script):
        path = tmp_path / "program"
        path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{script}\n')
        path.chmod(0o700)
        monkeypatch.setattr(child.sys, "executable", str(path))
        return tmp_path / "network"

    return write


def test_it_has_started_once_it_says_so_and_ends_when_it_is_let_go(program, tmp_path):
    folder = program(f"{READY}\ncat > /dev/null\necho ended > {tmp_path}/ended")
    started = child.start(["a", "b"], folder)
    assert started.said == {"hub": "https://h", "nodes": []}
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments == ["-m", "comity", "up", "--names", "a,b", "--dir", str(folder), "--json", "--attached"]
    assert started.process.poll() is None
    started.end()
    assert (tmp_path / "ended").exists(), "it ended by itself"
    assert started.process.returncode == 0
    started.end()


def test_one_that_does_not_end_is_killed(program, monkeypatch):
    monkeypatch.setattr(child, "PATIENCE", 0.05)
    started = child.start(["a"], program(f"{READY}\nexec tail -f /dev/null"))
    started.end()
    assert started.process.returncode == -9


def test_one_that_died_meanwhile_is_let_go(program):
    started = child.start(["a"], program(READY))
    started.process.wait()
    started.end()
    assert started.process.stdout.closed


@pytest.mark.parametrize(
    ("script", "said"),
    [("exit 3", r"did not start \(status 3\)"), ("echo no JSON; exec tail -f /dev/null", r"it said 'no JSON\\n'")],
)
def test_one_that_does_not_start_is_said(program, script, said):
    with pytest.raises(Unavailable, match=said):
        child.start(["a"], program(script))


# --attached


@pytest.fixture
def pipe():
    outlet, inlet = os.pipe()
    yield outlet, inlet
    for each in (outlet, inlet):
        if Path(f"/proc/self/fd/{each}").exists():
            os.close(each)


def test_what_comes_through_the_pipe_is_no_end(pipe):
    outlet, inlet = pipe
    assert not _closed(outlet)
    os.write(inlet, b"something")
    assert not _closed(outlet)
    os.close(inlet)
    assert _closed(outlet)


def test_whoever_is_attached_to_a_closed_pipe_watches_no_more(pipe):
    outlet, inlet = pipe
    os.write(inlet, b"something")
    os.close(inlet)
    Forked().watch(outlet)
