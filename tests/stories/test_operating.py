"""A network as those who operate it see it: keys are replaced, a node is examined, an organization is removed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import delete
from typer.testing import CliRunner

from comity.adapters.listening import listen, port_of
from comity.domain.events import RulesSupported
from comity.faces.cli.main import app
from comity.node import rotating
from comity.node.outbox import Outbox
from comity.node.place import open_place
from comity.node.schema import outbox
from comity.values.errors import Conflict

COMITY = str(Path(sys.executable).parent / "comity")
SECONDS = 60.0


def comity(*arguments):
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def unsaid(node, count):
    """Leave so many things in the node's outbox."""
    place = open_place(node)
    place.database.write(lambda connection: connection.execute(delete(outbox)))
    for number in range(count):
        place.database.write(
            lambda connection, number=number: Outbox(1).put(connection, str(number), [RulesSupported(version=1)], {})
        )
    place.database.close()


def examined(node):
    """What `comity doctor` finds, by the name of the check."""
    done = comity("doctor", "--dir", node, "--hold", "1", "--json")
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.exit_code == int(not all(each["ok"] for each in found.values()))
    return found


def test_keys_are_replaced_and_members_removed(tmp_path, start, monkeypatch):
    hub, node = tmp_path / "hub", tmp_path / "a"
    with listen("127.0.0.1", 0) as free:
        port = port_of(free)
    url = f"https://127.0.0.1:{port}"
    start("hub at", "hub", "start", "--dir", hub, "--host", "127.0.0.1", "--port", port, "--url", url)
    tokens = json.loads(comity("hub", "invite", "a", "--dir", hub, "--json").stdout)
    comity("node", "join", tokens["a"], "--dir", node)
    before = (node / "node.key").read_bytes()
    unsaid(node, 1)
    with pytest.raises(Conflict, match="1 things still to say"):
        comity("node", "rotate", "--dir", node)
    assert not (node / "node.key.new").exists()  # it can go on as before
    unsaid(node, 0)

    comity("node", "rotate", "--dir", node)
    first = (node / "node.key").read_bytes()
    assert first != before
    assert examined(node)["keys"]["ok"]

    said = rotating._Rotation.say

    async def said_and_cut_off(self, new):
        await said(self, new)
        raise ChildProcessError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(rotating._Rotation, "say", said_and_cut_off)
        with pytest.raises(ChildProcessError):
            comity("node", "rotate", "--dir", node)
    assert (node / "node.key").read_bytes() == first
    assert "rotate" in examined(node)["keys"]["remedy"]
    refused = subprocess.run(
        [COMITY, "node", "start", "--dir", str(node), "--port", "0"], capture_output=True, text=True, timeout=SECONDS
    )
    assert refused.returncode == 1
    assert "comity node rotate" in refused.stderr
    comity("node", "rotate", "--dir", node)
    assert (node / "node.key").read_bytes() not in (before, first)
    assert not (node / "node.key.new").exists()

    running = start("a at", "node", "start", "--dir", node, "--port", "0")  # it has written by its new keys
    with pytest.raises(Conflict, match="in use"):
        comity("node", "rotate", "--dir", node)
    assert not (node / "node.key.new").exists()
    found = examined(node)
    assert list(found) == ["disk", "sandbox", "keys", "name", "port", "certificate", "clock", "news"]
    assert all(each["ok"] for name, each in found.items() if name not in ("disk", "sandbox")), found
    running.end()

    comity("hub", "remove", "a", "--dir", hub)
    assert "not, by these keys, a member" in examined(node)["news"]["found"]
