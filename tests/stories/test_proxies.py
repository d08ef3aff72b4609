"""Two hospitals whose nodes call out through proxies alone: one that asks for a password, one that reads along.

The hub's name has no address here; the proxies know it. The second holds each answer back until it is whole.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from comity.adapters.listening import listen, port_of
from comity.faces.cli.main import app

COMITY = str(Path(sys.executable).parent / "comity")
SECONDS = 60.0
HUB = "hub.test"  # RFC 6761, section 6.2: nobody has this name


class Proxy:
    """An HTTP proxy that knows one name: `port` is where `HUB` is. It runs in a thread of its own."""

    def __init__(self, port, secret="", inspecting=None):
        self.port, self.secret, self.inspecting = port, secret, inspecting
        self.connects, self.requests = [], []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        user = f"{secret}@" if secret else ""
        self.url = f"http://{user}127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def close(self):
        async def end():
            self.server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await task

        self._run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _serve(self, reader, writer):
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode().split("\r\n")
            self.connects.append(line.rpartition(" ")[0])
            allowed = f"Proxy-Authorization: Basic {b64encode(self.secret.encode()).decode()}"
            if self.secret and allowed.lower() not in [each.lower() for each in fields]:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            elif self.connects[-1] != f"CONNECT {HUB}:{self.port}":
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await writer.drain()
                await (self._inspect if self.inspecting else self._pass)(reader, writer)
        writer.close()

    async def _pass(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            both = [asyncio.ensure_future(pump(reader, back)), asyncio.ensure_future(pump(there, writer))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in both:
                each.cancel()
        finally:
            back.close()

    async def _inspect(self, reader, writer):
        await writer.start_tls(self.inspecting)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        there, back = await asyncio.open_connection("127.0.0.1", self.port, ssl=trusting)
        try:
            while True:
                request = await whole(reader, lambda: writer.write(b"HTTP/1.1 100 Continue\r\n\r\n"))
                self.requests.append(request.split(b"\r\n")[0].decode())
                back.write(request)
                writer.write(await whole(there))
                await writer.drain()
        finally:
            back.close()


async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def whole(reader, go_on=lambda: None):
    """One request or answer with its body, all of it."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    if fields.get("expect") == "100-continue":
        go_on()
        head = b"".join(line for line in head.splitlines(keepends=True) if not line.lower().startswith(b"expect"))
    if fields.get("transfer-encoding") != "chunked":
        return head + await reader.readexactly(int(fields.get("content-length", "0")))
    body = b""
    while not body.endswith(b"\r\n0\r\n\r\n") and body != b"0\r\n\r\n":
        size = await reader.readline()
        body += size + await reader.readexactly(int(size, 16) + 2)
    return head + body


def authority(folder):
    """(TLS context with a certificate for the hub's name, file of the authority that issued it)."""
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hospital proxy")])
    made = (
        x509.CertificateBuilder(issuer, issuer, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HUB)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "ca.key")
    return context, folder / "ca.crt"


@pytest.fixture
def proxy():
    made = []

    def start(*arguments, **more):
        made.append(Proxy(*arguments, **more))
        return made[-1]

    yield start
    for each in made:
        each.close()


def comity(*arguments, **environment):
    done = CliRunner().invoke(app, [str(each) for each in arguments], env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def not_joined(token, node):
    """Why; in a process of its own, since aiohttp leaves a tunnel open whose TLS fails."""
    command = [COMITY, "node", "join", token, "--dir", str(node)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    return done.stderr


def examined(node):
    return {each["name"]: each for each in json.loads(comity("doctor", "--dir", node, "--hold", "1", "--json"))}


def test_nodes_work_through_proxies(tmp_path, proxy, start, monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with listen("127.0.0.1", 0) as free:
        port = port_of(free)
    hub, a, b = tmp_path / "hub", tmp_path / "a", tmp_path / "b"
    url = f"https://{HUB}:{port}"
    start("hub at", "hub", "start", "--dir", hub, "--host", "127.0.0.1", "--port", port, "--url", url)
    tokens = json.loads(comity("hub", "invite", "a", "b", "--dir", hub, "--json"))

    # a's proxy asks for a password
    asking = proxy(port, secret="ada:hopper")
    assert "comity doctor TOKEN" in not_joined(tokens["a"], a)
    (name,) = json.loads(comity("doctor", tokens["a"], "--json"))
    assert "HTTPS_PROXY" in name["remedy"]
    monkeypatch.setenv("HTTPS_PROXY", asking.url.replace("hopper", "wrong"))
    assert "HTTPS_PROXY names answers 407" in not_joined(tokens["a"], a)
    monkeypatch.setenv("HTTPS_PROXY", asking.url)
    said = comity("node", "join", tokens["a"], "--dir", a)
    nodes = {"a": (start("a at", "node", "start", "--dir", a, "--port", "0").said.split()[-1], said)}
    found = examined(a)
    assert list(found) == ["disk", "sandbox", "keys", "proxy", "certificate", "clock", "news"]
    assert all(each["ok"] for name, each in found.items() if name not in ("disk", "sandbox")), found
    monkeypatch.setenv("HTTPS_PROXY", asking.url.replace("hopper", "wrong"))
    assert "407" in examined(a)["proxy"]["found"]

    # b's reads along, and is trusted for it
    context, ca_file = authority(tmp_path)
    reading = proxy(port, inspecting=context)
    monkeypatch.setenv("HTTPS_PROXY", reading.url)
    assert "something else shows a certificate" in not_joined(tokens["b"], b)
    (b / "node.toml").write_text(f'ca_file = "{ca_file}"')
    said = comity("node", "join", tokens["b"], "--dir", b)
    nodes["b"] = (start("b at", "node", "start", "--dir", b, "--port", "0").said.split()[-1], said)
    found = examined(b)
    assert all(each["ok"] for name, each in found.items() if name not in ("disk", "sandbox")), found
    assert str(ca_file) in found["certificate"]["found"]
    (b / "node.toml").unlink()
    assert "hospital proxy" in examined(b)["certificate"]["found"]  # who reads along

    # entries, letters and blobs pass in both directions
    (function := tmp_path / "total").mkdir()
    (function / "function.json").write_text('{"entry": "total:total", "outputs": {"total": {"kind": "ASSET_MODEL"}}}')
    (function / "total.py").write_text("def total(inputs, outputs, task_properties): pass\n")
    as_ = {name: {"COMITY_NODE": url, "COMITY_USER": "admin"} for name, (url, _) in nodes.items()}
    for name, (_, said) in nodes.items():
        as_[name]["COMITY_PASSWORD"] = said.split("password ")[1].split(",")[0]
    for owner, other in (("a", "b"), ("b", "a")):
        comity("function", "add", function, "--name", f"of {owner}", "--public", **as_[owner])
        review = json.loads(comity("approve", f"of {owner}", "--show", "--json", **as_[other]))
        assert review["files"]["total.py"].startswith("def total")
    assert set(asking.connects) == {f"CONNECT {HUB}:{port}"}
    assert {each.split()[0] for each in reading.requests} >= {"POST", "GET", "PUT"}
    for name in ("a", "b"):
        network = json.loads(comity("status", "--json", **as_[name]))
        assert all(each["connected"] for each in network["organizations"])
