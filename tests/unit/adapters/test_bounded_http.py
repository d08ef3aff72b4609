"""What comes before the body of a request has an end, and bodies have none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import chain, repeat

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from comity.adapters.bounded_http import LARGEST, BoundedHttp, protocols

BEGUN = b"POST / HTTP/1.1\r\nhost: here\r\n"


async def size(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@asynccontextmanager
async def served() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    made = Starlette(routes=[Route("/", size, methods=["POST"])])
    server = uvicorn.Server(
        uvicorn.Config(made, http=protocols(), lifespan="off", log_level="critical", host="127.0.0.1", port=0)
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    yield reader, writer
    writer.close()
    server.should_exit = True
    await running


class Transport(asyncio.Transport):
    """Keeps what is written."""

    written = b""
    closed = False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


def answered(pieces: Iterable[bytes]) -> tuple[int, list[bytes]]:
    """(how many pieces are taken, the lines of the answer)."""

    async def sent() -> tuple[int, list[bytes]]:
        config = uvicorn.Config(Starlette(), lifespan="off", log_level="critical")
        protocol, transport = BoundedHttp(config, uvicorn.server.ServerState(), {}), Transport()
        protocol.connection_made(transport)
        taken = 0
        for piece in pieces:
            if transport.closed:
                break
            protocol.data_received(piece)
            taken += 1
        return taken, transport.written.splitlines()

    return asyncio.run(sent())


def test_large_bodies_one_after_the_other_are_read_whole():
    async def lines() -> list[bytes]:
        async with served() as (reader, writer):
            found: list[bytes] = []
            for _ in range(3):
                body = b"x" * (10 * LARGEST)
                writer.write(BEGUN + b"content-length: %d\r\n\r\n" % len(body) + body)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                found.append(await reader.readexactly(6))
            return found

    assert asyncio.run(lines()) == [b"%d" % (10 * LARGEST)] * 3


@pytest.mark.parametrize("piece", [b"x-more: " + b"y" * 1000 + b"\r\n", b"y" * 1000], ids=["many", "one"])
def test_headers_without_end_are_refused(piece):
    start = BEGUN if piece.startswith(b"x-more") else BEGUN + b"x-long: "
    taken, (first, *rest) = answered(chain([start], repeat(piece, 1000)))
    assert first.startswith(b"HTTP/1.1 400")
    assert rest[-1] == b"headers and trailers of a request have at most %d bytes" % LARGEST
    assert taken == 2 + LARGEST // len(piece)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"0\r\n", b"x-more: " + b"y" * 1000 + b"\r\n"),
        (b"0\r\nx-long: ", b"y" * 1000),
        (b"1;", b"y" * 1000),
        (b"1;", b"y=" + b"y" * 1000 + b";"),
    ],
    ids=["many trailers", "one trailer", "what announces a chunk", "many things that do"],
)
def test_what_stands_beside_a_body_has_an_end(start, piece):
    begun = BEGUN + b"transfer-encoding: chunked\r\n\r\n"
    taken, lines = answered(chain([begun, b"2\r\nab\r\n", start], repeat(piece, 1000)))
    assert lines[-1] == b"headers and trailers of a request have at most %d bytes" % LARGEST
    assert taken <= 4 + LARGEST // len(piece)


def test_trailers_are_no_headers():
    seen = []

    async def headers(request: Request) -> PlainTextResponse:
        await request.body()
        seen.extend(request.scope["headers"])
        return PlainTextResponse("")

    async def sent() -> None:
        config = uvicorn.Config(Starlette(routes=[Route("/", headers, methods=["POST"])]), lifespan="off")
        protocol, transport = BoundedHttp(config, uvicorn.server.ServerState(), {}), Transport()
        protocol.connection_made(transport)
        protocol.data_received(BEGUN + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-late: 1\r\n\r\n")
        while not transport.written.endswith(b"\r\n\r\n"):
            await asyncio.sleep(0)
        protocol.connection_lost(None)

    asyncio.run(sent())
    assert seen == [(b"host", b"here"), (b"transfer-encoding", b"chunked")]


def test_no_http_is_refused():
    assert answered([b"\x16\x03\x01 nonsense\r\n\r\n"])[1][0].startswith(b"HTTP/1.1 400")
