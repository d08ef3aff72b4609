"""A network of four organizations on this machine: real processes, the command line and REST, and nothing else."""

import json
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

COMITY = str(Path(sys.executable).parent / "comity")
NAMES = ["org1", "org2", "org3", "org4"]
SECONDS = 60.0
"""After which a test gives up waiting; it waits for what happens, never for time to pass."""


def until(found, what):
    """What `found()` returns, once that is true."""
    end = time.monotonic() + SECONDS
    while not (value := found()):
        assert time.monotonic() < end, f"waited for {what} in vain"
        time.sleep(0.02)
    return value


class Up:
    """`comity up`, which may be ended and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.process = None

    def start(self, *arguments):
        command = [COMITY, "up", "--organizations", "4", "--json", "--dir", str(self.folder), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, text=True)
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        assert ready, "the network did not start"
        return json.loads(self.process.stdout.readline())

    def family(self):
        """The process and all below it, by what the kernel says of each."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            parents[int(path.parent.name)] = int(fields[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def end(self, number=signal.SIGINT):
        """The exit code after a signal, once no process is left."""
        family = self.family()
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self.process.stdout.close()
        until(lambda: not any(alive(pid) for pid in family), "every process to end")
        self.process = None
        return code, len(family)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def network(tmp_path):
    made = Up(tmp_path / "network")
    yield made
    if made.process is not None:
        made.end(signal.SIGTERM)


@pytest.fixture
def comity(tmp_path, network):
    """Run the command as an organization; gives what --json prints, or with `refused` the one sentence of an error."""

    def run(organization, *arguments, refused=False):
        command = [COMITY, *arguments, "--as", organization, "--dir", str(network.folder), "--json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=SECONDS)
        if refused:
            assert done.returncode == 1, done.stdout
            assert done.stderr.startswith("comity: ")
            assert done.stderr.count("\n") == 1
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def rest(node, path, form=None, token=""):
    """(status, body) of a request."""
    headers = {"Authorization": f"Token {token}"} if token else {}
    request = urllib.request.Request(node["url"] + path, form, headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def logged_in(node):
    form = f"username={node['user']}&password={node['password']}".encode()
    status, body = rest(node, "/api-token-auth/", form)
    assert status == 200
    return json.loads(body)["token"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are counted in /proc")
def test_four_organizations_work_together(tmp_path, network, comity, one_mean):
    said = network.start("--ask")
    assert said["hub"].startswith("https://127.0.0.1:")
    assert [node["organization"] for node in said["nodes"]] == NAMES
    assert len(network.family()) >= 6  # itself, the hub and the nodes
    nodes = {node["organization"]: node for node in said["nodes"]}

    again = [COMITY, "up", "--dir", str(network.folder)]
    refused = subprocess.run(again, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"comity: a network is running in {network.folder} already: ")
    assert all(f"{name} {node['url']}" in refused.stderr for name, node in nodes.items())

    shown = one_mean(tmp_path, comity)
    key = shown["key"]

    # who is in no permission gets nothing, by REST neither
    assert "org4 may not process" in comity("org4", "plan", "download", key, "mean.mean", refused=True)
    status, body = rest(nodes["org4"], "/model/?page_size=10", token=logged_in(nodes["org4"]))
    keys = [each["key"] for each in json.loads(body)["results"]]
    assert (status, len(keys)) == (200, 3)
    for model in keys:
        status, body = rest(nodes["org4"], f"/model/{model}/file/", token=logged_in(nodes["org4"]))
        assert status == 403, body

    # the log shows it all, and everybody can verify it
    exported = comity("org4", "log", "export", "log.txt")
    assert comity("org4", "log", "verify", "log.txt")["size"] == exported["size"]
    whole = (tmp_path / "log.txt").read_bytes()
    (tmp_path / "log.txt").write_bytes(whole.replace(b'"org3"', b'"org4"', 1))
    assert "cannot stand in this log" in comity("org4", "log", "verify", "log.txt", refused=True)

    # a second start goes on where the first ended
    code, count = network.end()
    assert (code, count >= 6) == (130, True)
    again = network.start("--ask")
    assert again == said  # addresses and passwords too
    assert comity("org1", "plan", "show", key, "--wait")["tasks"] == shown["tasks"]
    overview = comity("org4", "status")
    assert [each["organization"] for each in overview["organizations"]] == NAMES
    assert all(each["connected"] for each in overview["organizations"])
    assert overview["organizations"][2]["tasks"] == {"STATUS_DONE": 1}
    made_from = comity("org1", "data", "withdraw", "left", "--reason", "consent ended")["models"]
    assert len(made_from) == 2  # its total, and the mean over it
    assert "has withdrawn the dataset" in comity("org1", "plan", "create", "plan.toml", refused=True)
    (entry,) = comity("org3", "log", "tail", "--type", "dataset_withdrawn")
    assert entry["author"] == "org1"
    assert entry["events"][0]["reason"] == "consent ended"
    assert network.end(signal.SIGTERM)[0] == 130
