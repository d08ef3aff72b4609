"""A network is upgraded while it runs: the hub first, then node by node; then its rules.

The newer program is this one, told that it knows a second version of the rules, which are the same.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from comity.adapters.listening import listen, port_of
from comity.faces.cli.main import app

NEWER = (
    "import sys, comity.domain.entry as entry; entry.RULES = 2; sys.argv.pop(0);"
    "from comity.faces.cli.main import main; main()"
)
UPGRADED = (sys.executable, "-c", NEWER)
COMITY = str(Path(sys.executable).parent / "comity")
SECONDS = 60.0


@pytest.fixture
def network(tmp_path, start):
    """Starts and asks hub and nodes, `newer` or not."""
    with listen("127.0.0.1", 0) as free:
        port = port_of(free)
    return Operated(tmp_path, start, f"https://127.0.0.1:{port}")


class Operated:
    def __init__(self, folder, start, url):
        self.folder, self.start, self.url = folder, start, url
        self.programs, self.passwords = {}, {}

    def run(self, name, newer=False):
        """Start it, after ending the one that runs."""
        if name in self.programs:
            self.programs[name].end()
        within, here = UPGRADED if newer else (), ("--dir", self.folder / name)
        if name == "hub":
            port = self.url.rpartition(":")[2]
            words = ("hub", "start", *here, "--host", "127.0.0.1", "--port", port, "--url", self.url)
            self.programs[name] = self.start("hub at", *words, within=within)
        else:
            self.programs[name] = self.start(f"{name} at", "node", "start", *here, "--port", "0", within=within)

    def join(self, *names):
        for name in names:
            token = json.loads(comity("hub", "invite", name, "--dir", self.folder / "hub", "--json"))[name]
            said = comity("node", "join", token, "--dir", self.folder / name)
            self.passwords[name] = said.split("password ")[1].split(",")[0]

    def ask(self, name, *words):
        node = self.programs[name].said.split()[-1]
        return comity(*words, COMITY_NODE=node, COMITY_USER="admin", COMITY_PASSWORD=self.passwords[name])

    def said(self, name):
        """Types of the events of each of its entries."""
        found = json.loads(self.ask(name, "log", "tail", "--json", "--author", name, "-n", "100"))
        return [[event["type"] for event in each["events"]] for each in found]

    def write(self, name, word):
        """A dataset of an organization's, once its node has found the hub again."""
        end = time.monotonic() + SECONDS
        while not json.loads(self.ask(name, "status", "--json"))["connected"]:
            assert time.monotonic() < end, f"{name} does not find the hub"
        (self.folder / "opener.py").write_text(
            "class Rows:\n    def get_data(self, folders): ...\n\n    def fake_data(self, n): ...\n"
        )
        (rows := self.folder / word).mkdir()
        (rows / "rows.txt").write_text("1")
        self.ask(name, "data", "add", rows, "--opener", self.folder / "opener.py", "--name", word, "--upload")

    def names(self, name):
        return {each["name"] for each in json.loads(self.ask(name, "data", "list", "--json"))}

    def raise_rules(self):
        command = [*UPGRADED, COMITY, "hub", "raise", "--dir", str(self.folder / "hub")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        return done.stdout or done.stderr


def comity(*words, **environment):
    done = CliRunner().invoke(app, [str(each) for each in words], env=environment)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_versions_meet(network):
    network.run("hub")
    network.join("a", "b")
    network.run("a")
    network.run("b")
    announced = len(network.said("a"))
    network.run("a")
    assert len(network.said("a")) == announced == 1  # what a node knows is said once

    # a newer hub serves older nodes, and a newer node works beside an older one
    network.run("hub", newer=True)
    network.write("a", "old-beside-new-hub")
    network.run("a", newer=True)
    assert len(network.said("a")) == announced + 3  # dataset, sample, and that it knows more now
    network.write("a", "new-beside-old")
    assert "members know: a 2, b 1, hub 2" in network.raise_rules()

    # once every member knows newer rules the channel can go by them
    network.run("b", newer=True)
    network.write("b", "all-new")
    assert "version 2 of the rules" in network.raise_rules()
    network.write("a", "by-newer-rules")

    # an older program does not guess: it says what it needs, and shows what it knows
    network.programs["b"].end()
    del network.programs["b"]
    older = subprocess.Popen(
        [COMITY, "node", "start", "--dir", str(network.folder / "b"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in older.stderr:
            if "upgrade comity, which knows 1" in line:
                break
        else:
            raise AssertionError("it ended without saying why")
        assert "stopped following" in line
    finally:
        older.kill()
        older.communicate()

    # and goes on from there as soon as it is upgraded
    network.run("b", newer=True)
    network.write("b", "upgraded-again")
    assert network.names("b") >= {"by-newer-rules", "upgraded-again"}
