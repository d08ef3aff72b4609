"""What keeps a node from working is found, and nothing that does not."""

import asyncio
import ssl
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import pytest
import structlog.testing

from comity.adapters.certificate import pin, self_signed
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.way import Way
from comity.adapters.listening import listen, port_of
from comity.node import checks
from comity.node.address import Address
from comity.node.link import Link
from comity.values.errors import Forbidden
from comity.values.keys import Identity

REFUSAL = b'{"error": "Forbidden", "detail": "not a member"}'


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def date_time_string(self, timestamp=None):
        now = datetime.now(UTC).timestamp() + self.server.ahead
        return format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path):
    """An HTTPS server with a certificate of its own; `status`, `body` and `ahead`, of its clock, may be set."""
    certificate, key = self_signed(["localhost"], datetime.now(UTC))
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    # The handshake belongs to the connection's thread: a check that only connects must not hold up the next one.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads, server.handle_error = True, lambda *_: None
    server.status, server.body, server.ahead = 200, b"{}", 0.0
    server.pin = pin(certificate)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked(hub, check):
    """What a check finds that takes a session and an address."""

    async def run():
        async with aiohttp.ClientSession() as session:
            return await check(session, Address(f"https://127.0.0.1:{hub.server_port}", hub.pin))

    return asyncio.run(run())


def held(hub, seconds):
    async def check(session, address):
        link = Link(session, address, "sha256:" + "0" * 64, "a", Identity.generate())
        return await checks.held(link, seconds=seconds)

    return asked(hub, check)


def address(port, host="127.0.0.1", **more):
    return Address(f"https://{host}:{port}", **more)


def test_names():
    assert not checks.resolved(address(443)).remedy
    assert "nowhere.invalid" in checks.resolved(address(443, "nowhere.invalid")).remedy  # RFC 6761, section 6.4


def test_sandboxes(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    told = checks.held_in(tmp_path, Way(level=Level.PLAIN))
    assert (told.remedy, told.found.split(":")[0]) == ("", "tasks are held in at level plain")
    lacking = checks.held_in(tmp_path, Way())
    assert lacking.found == "tasks can do what the node can: there is no bwrap here"
    assert "apt install bubblewrap" in lacking.remedy
    demanded = checks.held_in(tmp_path, Way(demanded=Level.BUBBLEWRAP))
    assert demanded.found == "no task runs: there is no bwrap here"
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/false")
    refused = checks.held_in(tmp_path, Way())
    assert "/usr/bin/false does not work here" in refused.found
    assert "user namespaces" in refused.remedy
    assert list(tmp_path.iterdir()) == []


def test_ports(monkeypatch):
    with listen("127.0.0.1", 0) as there:
        assert not checks.reachable(address(port_of(there))).remedy
        gone = port_of(there)
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:secret@proxy.example:3128")
    found = checks.reachable(address(gone))
    assert "HTTPS_PROXY" in found.remedy
    assert "http://proxy.example:3128 of the environment is not used" in found.found
    assert "secret" not in found.found


def test_another_certificate_is_an_interception(hub, tmp_path):
    assert not checks.shown(address(hub.server_port, certificate=hub.pin)).remedy
    other = checks.shown(address(hub.server_port, certificate="0" * 64))
    assert "TLS inspection" in other.remedy
    assert "CN=comity hub" in other.found  # whose certificate is shown
    untrusted = checks.shown(address(hub.server_port))
    assert "self-signed" in untrusted.found
    assert "ca_file" in untrusted.remedy
    trusted = address(hub.server_port, "localhost", certificate="0" * 64, authorities=tmp_path / "tls.crt")
    assert not checks.shown(trusted).remedy
    elsewhere = address(hub.server_port, certificate=hub.pin, authorities=tmp_path / "tls.crt")
    assert "127.0.0.1" in checks.shown(elsewhere).found  # the file vouches for localhost alone


@pytest.mark.parametrize(
    ("url", "named", "used"),
    [
        ("https://hub.test", "http://proxy:3128", "http://proxy:3128"),
        ("https://hub.test", "proxy:3128", "http://proxy:3128"),
        ("https://hub.test", "socks5://proxy:1080", None),
        ("https://hub.test", "", None),
        ("https://hub.inside.test", "http://proxy:3128", None),
        ("https://localhost:7070", "http://proxy:3128", None),
        ("https://127.0.0.1:7070", "http://proxy:3128", None),
    ],
)
def test_the_environment_names_a_proxy(url, named, used, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", named)
    monkeypatch.setenv("NO_PROXY", "inside.test")
    assert Address(url).proxy == used


def test_a_proxy_that_does_not_lead_there(hub, monkeypatch):
    """Here an HTTPS server in its place, then nothing at all."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:secret@127.0.0.1:{hub.server_port}")
    found = checks.through(address(443, "hub.test"))
    assert "CONNECT to hub.test port 443" in found.remedy
    assert "secret" not in found.found
    with listen("127.0.0.1", 0) as there:
        gone = port_of(there)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{gone}")
    assert checks.through(address(443, "hub.test")).remedy


def test_clocks(hub):
    assert not asked(hub, checks.clock).remedy
    hub.ahead = 25.0
    assert not asked(hub, checks.clock).remedy
    for hub.ahead, sign in ((40.0, "-"), (-400.0, "+")):
        found = asked(hub, checks.clock)
        assert sign in found.found
        assert "NTP" in found.remedy


def test_a_clock_that_goes_wrong_is_said_once_in_the_log(hub):
    """A refusal shows the hub's time as well."""
    hub.status, hub.body = 403, REFUSAL

    async def calls(session, address):
        link = Link(session, address, "sha256:" + "0" * 64, "a", Identity.generate())
        for hub.ahead in (0.0, 100.0, 110.0, 0.0, -100.0):
            with pytest.raises(Forbidden):
                await link.call("GET", "/presence")

    with structlog.testing.capture_logs() as said:
        asked(hub, calls)
    assert [round(each["seconds_ahead"], -1) for each in said] == [-100, 100]
    assert all("NTP" in each["event"] for each in said)


def test_held_requests(hub):
    assert not held(hub, 0.0).remedy
    hub.status, hub.body = 504, b"<html>gateway timeout"
    assert "buffer" in held(hub, 0.0).remedy
    hub.status, hub.body = 403, REFUSAL
    found = held(hub, 0.0)
    assert "not a member" in found.found
    assert "removed" in found.remedy


def test_disks(tmp_path, monkeypatch):
    assert str(tmp_path) in checks.disk(tmp_path).found
    monkeypatch.setattr(checks, "ROOM", 1 << 80)
    assert checks.disk(tmp_path).remedy
