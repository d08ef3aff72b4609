"""What keeps a node from working is found, and nothing that does not."""

import asyncio
import ssl
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import pytest

from comity.adapters.certificate import fingerprint, self_signed
from comity.adapters.listening import listen, port_of
from comity.node import checks
from comity.node.link import Address, Link
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
    server.pin = fingerprint(certificate)
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


def test_names():
    assert not checks.resolved("127.0.0.1", 443).remedy
    assert "nowhere.invalid" in checks.resolved("nowhere.invalid", 443).remedy  # RFC 6761, section 6.4


def test_ports(monkeypatch):
    with listen("127.0.0.1", 0) as there:
        assert not checks.reachable("127.0.0.1", port_of(there)).remedy
        gone = port_of(there)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    found = checks.reachable("127.0.0.1", gone)
    assert found.remedy
    assert "proxy.example" in found.found


def test_another_certificate_is_an_interception(hub):
    shown = checks.shown("127.0.0.1", hub.server_port, hub.pin)
    assert not shown.remedy
    other = checks.shown("127.0.0.1", hub.server_port, "0" * 64)
    assert "TLS inspection" in other.remedy
    assert "CN=comity hub" in other.found  # whose certificate is shown
    untrusted = checks.shown("127.0.0.1", hub.server_port, "")
    assert "self-signed" in untrusted.found
    assert untrusted.remedy


def test_clocks(hub):
    assert not asked(hub, checks.clock).remedy
    hub.ahead = 290.0
    assert not asked(hub, checks.clock).remedy
    hub.ahead = -400.0
    found = asked(hub, checks.clock)
    assert "+" in found.found
    assert "NTP" in found.remedy


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
