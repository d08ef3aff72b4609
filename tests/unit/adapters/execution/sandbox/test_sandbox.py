"""What a hostile function gets hold of, in a real pool: nothing but what its own plan may read at this node.

The probes lie in `reaching.toml` and `leaving.toml`. They run as a node of root's does, whose tasks become an ordinary
user, and as a node of an ordinary user does; those that are harmless there also in plain processes, to see that they
can fail.
"""

import functools
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from comity.adapters.environments.own import environment
from comity.adapters.execution.log import KEPT

HERE = Path(__file__).parent
PROBES = {
    each["name"]: each
    for file in ("reaching", "leaving")
    for each in tomllib.loads((HERE / f"{file}.toml").read_text())["probe"]
}
ORDINARY = 60_601
ROOT = os.geteuid() == 0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the probes call the kernel by the numbers of x86_64"),
]


def found(user: str, level: str) -> dict:
    """What became of the probes there; skips, or fails, as often as it is asked when they could not be run."""
    told = ran(user, level)
    if "skip" in told:
        pytest.skip(told["skip"])
    assert "failed" not in told, told["failed"]
    return told


@functools.cache
def ran(user: str, level: str) -> dict:
    """Have the probes run by a program of its own."""
    if user == "root" and not ROOT:
        return {"skip": "only root can run a node as root"}
    with tempfile.TemporaryDirectory(prefix="comity-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        command = [sys.executable, "-B", str(HERE / "host.py"), made, level]
        if user == "ordinary" and ROOT:
            os.chown(folder, ORDINARY, ORDINARY)
            ways = [*map(str, environment(()).mounts), str(HERE)]
            command = [sys.executable, str(HERE / "ordinary.py"), str(ORDINARY), *ways, "--", *command]
        variables = {**os.environ, "COMITY_TOKEN": f"canary-{secrets.token_hex(16)}"}
        host = subprocess.run(command, env=variables, capture_output=True, text=True)
        if "there can be no mount namespace here" in host.stderr:
            return {"skip": "an ordinary user has no way to this Python, and none can be opened in this container"}
        if host.returncode != 0:
            return {"failed": host.stderr[-4000:]}
        told = json.loads((folder / "found.json").read_text())
    if told["about"]["level"] != level:
        return {"skip": f"level {level} cannot be reached here: {told['about']['reason']}"}
    return told


@pytest.mark.parametrize("user", ["root", "ordinary"])
@pytest.mark.parametrize("name", PROBES)
def test_a_hostile_function_gets_hold_of_nothing(user, name):
    probe = PROBES[name]
    if probe.get("root") and user != "root":
        pytest.skip("not held where the node is an ordinary user's; docs/threat-model.md says so")
    told = found(user, "bubblewrap")["probes"][name]
    if "error" in probe:
        assert told["status"] == "failed"
        assert probe["error"] in told["error"]
    else:
        # A task whose sandbox was ended for what was left behind there may have been innocent of it.
        assert told["status"] == ("lost" if "that lies" in name else "done"), (told["error"], told["log"])
        assert told["mode"] in (0, 0o600)
    assert told["got"] == [], probe["holds"]
    assert told.get("later", []) == [], probe["holds"]
    assert told["changed"] == []
    assert told["left"] == []
    assert told["log_size"] < KEPT + 1100


@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_nothing_is_left_of_hostile_sandboxes(user):
    assert found(user, "bubblewrap")["about"]["left"] == []


@pytest.mark.parametrize("name", [name for name, probe in PROBES.items() if probe.get("plain")])
def test_a_probe_gets_through_where_nothing_holds_it(name):
    told = found("ordinary", "plain")["probes"][name]
    assert told["status"] == "done", told["log"]
    assert told["got"] != []
