"""Three sites that can reach the hub's one port and nothing else, each in a network namespace of its own.

The hub and the sites stand on one bridge, so that only the rules keep them apart. A site's rules are a usual stateful
firewall's: no connection leaves but those to the hub's port. Nothing keeps connections from coming in, so that what a
scan does not find open is not there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMITY = str(Path(sys.executable).parent / "comity")
SECONDS = 60.0
SITES = {"org1": "10.77.0.11", "org2": "10.77.0.12", "org3": "10.77.0.13"}
HUB = "10.77.0.1"
PORT = 7070
OTHER = 7071

RULES = f"""
table inet outbound {{
  chain out {{
    type filter hook output priority 0; policy drop;
    oif lo accept
    ct state established,related accept
    ip daddr {HUB} tcp dport {PORT} accept
    reject
  }}
}}
"""

# A probe of this machine's own address that is given that very port connects to itself.
SCAN = """
import socket, sys
for port in range(1, 65536):
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((sys.argv[1], port)) == 0 and probe.getsockname() != probe.getpeername():
            print(port)
"""

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()
    print("open")
except OSError:
    print("closed")
"""

LISTEN = """
import socket, sys
taking = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
sys.stdin.read()
"""


class Grounds:
    """Namespaces of this test: the hub's and one per site, on a bridge that nothing else stands on."""

    def __init__(self):
        self.names = {each: f"comity-{os.getpid()}-{each}" for each in ("hub", *SITES)}

    def within(self, name):
        return ["ip", "netns", "exec", self.names[name]]

    def python(self, name, code, *arguments):
        command = [*self.within(name), sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.check_output(command, text=True, timeout=SECONDS)

    def make(self):
        hub = self.names["hub"]
        for name in self.names.values():
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "-n", hub, "link", "add", "sites", "type", "bridge")
        _run("ip", "-n", hub, "addr", "add", f"{HUB}/24", "dev", "sites")
        _run("ip", "-n", hub, "link", "set", "sites", "up")
        for site, address in SITES.items():
            name = self.names[site]
            _run("ip", "-n", hub, "link", "add", site, "type", "veth", "peer", "name", "out", "netns", name)
            _run("ip", "-n", hub, "link", "set", site, "master", "sites", "up")
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "out")
            _run("ip", "-n", name, "link", "set", "out", "up")
            _run(*self.within(site), "nft", "-f", "-", given=RULES)

    def remove(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=SECONDS)


def _run(*command, given=None):
    subprocess.run(command, input=given, text=True, capture_output=True, check=True, timeout=SECONDS)


@pytest.fixture
def grounds():
    if missing := [each for each in ("ip", "nft") if shutil.which(each) is None]:
        pytest.skip(f"{' and '.join(missing)} not found; install Debian's iproute2 and nftables")
    made = Grounds()
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            said = error.stderr.strip()
            pytest.skip(f"no network namespaces here, which needs root and CAP_SYS_ADMIN: {error.cmd}: {said}")
        yield made
    finally:
        made.remove()


@pytest.fixture
def network(tmp_path, grounds, start):
    """The environment of each site's commands, once all its node's words to the hub have come through."""
    hub = ["--dir", str(tmp_path / "hub")]
    url = f"https://{HUB}:{PORT}"
    inside = grounds.within("hub")
    start("hub at", "hub", "start", *hub, "--host", HUB, "--port", PORT, "--url", url, within=inside)
    invite = [*inside, COMITY, "hub", "invite", *SITES, *hub, "--json"]
    tokens = json.loads(subprocess.check_output(invite, text=True, timeout=SECONDS))
    made = {}
    for name in SITES:
        inside, folder = grounds.within(name), ["--dir", str(tmp_path / f"node-{name}")]
        join = [*inside, COMITY, "node", "join", tokens[name], *folder]
        joined = subprocess.check_output(join, text=True, timeout=SECONDS)
        password = re.search(r"password (\S+),", joined)[1]
        node = start("at http", "node", "start", *folder, "--port", 0, "--data", tmp_path, within=inside)
        url = re.search(r"http://127\.0\.0\.1:\d+", node.said)[0]
        made[name] = {**os.environ, "COMITY_NODE": url, "COMITY_USER": "admin", "COMITY_PASSWORD": password}
    return made


@pytest.fixture
def comity(tmp_path, grounds, network):
    def run(site, *arguments, refused=False):
        done = subprocess.run(
            [*grounds.within(site), COMITY, *arguments, "--json"],
            cwd=tmp_path,
            env=network[site],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == int(refused), done.stderr
        return done.stderr if refused else json.loads(done.stdout)

    return run


def test_what_a_site_can_reach(grounds):
    reached = {}
    for name, address in {"hub": HUB, **SITES}.items():
        for port in (PORT, OTHER):
            command = [*grounds.within(name), sys.executable, "-c", LISTEN, address, str(port)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listening:
                assert listening.stdout.readline() == "listening\n"
                for other in grounds.names.keys() - {name}:
                    reached[other, name, port] = grounds.python(other, CONNECT, address, port) == "open\n"
                listening.stdin.close()
    from_hub = {("hub", site, port) for site in SITES for port in (PORT, OTHER)}
    to_hub = {(site, "hub", PORT) for site in SITES}
    assert {way for way, there in reached.items() if there} == from_hub | to_hub


def test_sites_that_reach_the_hub_alone(tmp_path, grounds, one_mean, comity):
    one_mean(tmp_path, comity)
    assert grounds.python("hub", SCAN, HUB).split() == [str(PORT)]
    for name, address in SITES.items():
        assert grounds.python("hub", SCAN, address).split() == []
        sockets = subprocess.check_output([*grounds.within(name), "ss", "-Hlntu"], text=True, timeout=SECONDS)
        addresses = {line.split()[4].rpartition(":")[0] for line in sockets.splitlines()}
        assert addresses == {"127.0.0.1"}  # its REST, for the organization's own users
