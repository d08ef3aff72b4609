"""Streams over TLS: of the hub alone, over connections that are kept, and at an end when they are cancelled."""

import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from comity.adapters.certificate import pin, self_signed
from comity.node.address import Address
from comity.node.downloads import Cancel, Downloads
from comity.node.link import Link
from comity.values.errors import NotFound, Unavailable
from comity.values.keys import Identity

PIECE = b"0123456789" * 20_000


class Answering(BaseHTTPRequestHandler):
    """Answers /whole with three pieces, /cut with one and an end, /silent with one and nothing more."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_GET(self):
        self.server.targets.append(self.path)
        if self.path == "/missing":
            body = b'{"error": "NotFound", "detail": "there is no such parcel"}'
            self.send_response(404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for _ in range(3 if self.path == "/whole" else 1):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
        if self.path == "/whole":
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
        if self.path == "/silent":
            self.server.ended.wait(60)
        self.close_connection = self.path != "/whole" or self.server.closes

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path):
    """`connections` are counted, `targets` are what was asked; `closes` may be set to end each after an answer."""
    certificate, key = self_signed(["localhost"], datetime.now(UTC))
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads, server.handle_error = True, lambda *_: None
    server.connections, server.targets, server.closes, server.ended = 0, [], False, threading.Event()
    server.pin = pin(certificate)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def link(hub):
    made = linked(hub, hub.pin)
    yield made
    made.close()


def linked(hub, certificate):
    address = Address(f"https://127.0.0.1:{hub.server_port}", certificate)
    return Link(None, address, "sha256:" + "0" * 64, "a", Identity.generate())


def test_streams_come_whole_over_one_connection(hub, link):
    for _ in range(3):
        assert b"".join(link.download("/whole", Cancel())) == 3 * PIECE
    assert hub.connections == 1


def test_streams_at_once_have_connections_of_their_own_which_are_used_again(hub, link):
    first, second = link.download("/whole", Cancel()), link.download("/whole", Cancel())
    assert next(first)
    assert next(second)
    assert hub.connections == 2
    for each in (first, second):
        assert sum(map(len, each)) > 2 * len(PIECE)
    assert b"".join(link.download("/whole", Cancel())) == 3 * PIECE
    assert hub.connections == 2


def test_a_connection_that_the_hub_has_closed_is_made_anew(hub, link):
    assert b"".join(link.download("/whole", Cancel())) == 3 * PIECE
    (kept,) = link._downloads._idle
    kept[1].sock.shutdown(2)
    assert b"".join(link.download("/whole", Cancel())) == 3 * PIECE
    assert hub.connections == 2


def test_nothing_is_asked_of_who_shows_another_certificate(hub):
    with pytest.raises(Unavailable, match="which is not trusted here"):
        next(linked(hub, "0" * 64).download("/whole", Cancel()))
    assert hub.targets == []


def test_an_authority_is_checked_with_the_name(hub, tmp_path):
    trusted = Address(f"https://localhost:{hub.server_port}", "0" * 64, tmp_path / "tls.crt")
    with Downloads(trusted).open("/whole", {}, Cancel()) as answer:
        assert answer.status == 200
    other = Address(f"https://127.0.0.1:{hub.server_port}", "0" * 64, tmp_path / "tls.crt")
    with pytest.raises(ssl.SSLCertVerificationError), Downloads(other).open("/whole", {}, Cancel()):
        pass


def test_what_is_cut_off_is_said(hub, link):
    came, stream = bytearray(), link.download("/cut", Cancel())
    while len(came) < len(PIECE):
        came += next(stream)
    with pytest.raises(Unavailable):
        next(stream)
    assert came == PIECE


def test_a_refusal_is_raised(hub, link):
    with pytest.raises(NotFound, match="no such parcel"):
        next(link.download("/missing", Cancel()))


def test_who_cancels_ends_a_silent_stream(hub, link):
    cancel, came, ended = Cancel(), threading.Event(), threading.Event()

    def read():
        try:
            for _ in link.download("/silent", cancel):
                came.set()
        except Unavailable:
            ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert came.wait(30)
    cancel.ask()
    thread.join(30)
    assert ended.is_set()


def test_what_was_cancelled_before_is_not_begun(hub, link):
    cancel = Cancel()
    cancel.ask()
    with pytest.raises(Unavailable):
        next(link.download("/silent", cancel))


def test_a_hub_that_is_not_there_is_away(hub, link):
    hub.socket.close()
    with pytest.raises(Unavailable, match="cannot be reached"):
        next(link.download("/whole", Cancel()))
