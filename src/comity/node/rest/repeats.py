"""Requests that are made again under the same `Idempotency-Key`: done once, and answered as the first time.

A key belongs to a user and to one request: method, path and body. A request that is made again while the first is at
work waits for it. Only an answer of success is kept; a request that was refused has changed nothing, and is done anew.
That one has begun is written down before it begins: where the node stopped before it was answered, nobody knows what
became of it, and who asks again is told so rather than given a second asset.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeAlias, final

from python_multipart.multipart import parse_options_header
from sqlalchemy import ColumnElement, Connection, delete, func, select
from starlette.responses import Response

from comity.adapters import arriving
from comity.adapters.sql.database import Database
from comity.adapters.sql.records import upsert
from comity.node import schema
from comity.node.rest.call import Call, answer
from comity.values.errors import Conflict, InvalidInput

HEADER = "idempotency-key"

KEPT = 24 * 3_600_000
"""Milliseconds that an answer is kept."""

MOST = 1000
"""Answers that are kept for a user, the last ones."""

MOST_BYTES = 32 << 20
"""Bytes of them."""

KEY = re.compile(r"[\x21-\x7e]{1,255}")

Id: TypeAlias = tuple[str, str]
"""Of a user, and the key that he has chosen."""


@final
@dataclass(frozen=True)
class Done:
    """A request that was done."""

    request: str
    """Its digest; empty when it was not done, but refused or cut off."""
    status: int
    body: bytes

    @property
    def response(self) -> Response:
        """The answer."""
        return Response(self.body, self.status, media_type="application/json")


@final
class Body:
    """A body that passes by, and the digest of the request that it belongs to.

    Of a form the boundary is left out, which clients choose anew each time.
    """

    def __init__(self, call: Call) -> None:
        self._stream = call.stream
        self._hash = sha256(f"{call.request.method} {call.request.url.path}\n".encode())
        self._boundary = parse_options_header(call.request.headers.get("content-type", ""))[1].get(b"boundary", b"")
        self._held = b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """Those of the stream."""
        async for piece in self._stream:
            held = self._held + piece
            held = held.replace(self._boundary, b"") if self._boundary else held
            sure = max(0, len(held) - len(self._boundary) + 1)  # a boundary may have begun
            self._hash.update(held[:sure])
            self._held = held[sure:]
            yield piece

    async def digest(self) -> str:
        """Of the whole request, once what is left of the body has come; raises InvalidInput when it does not."""
        async for _ in arriving.pieces(self.pieces()):
            pass
        whole = self._hash.copy()
        whole.update(self._held)
        return whole.hexdigest()


@final
class Repeats:
    """The answers that a node keeps."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._under_way: dict[Id, asyncio.Task[Done]] = {}

    async def once(self, call: Call, key: str, endpoint: Callable[[Call], Awaitable[Response]]) -> Response:
        """The endpoint's answer to a request under a key, or the one that it has given before.

        Raises InvalidInput for what is no key, Conflict for one whose request was never answered. Answers 422 to
        another request under the same key.
        """
        if not KEY.fullmatch(key):
            raise InvalidInput(f"an Idempotency-Key has 1 to 255 visible ASCII characters, not {key[:80]!r}")
        id, body = (call.principal.user, key), Body(call)
        while (first := self._under_way.get(id)) is not None:
            if (done := await asyncio.shield(first)).request:
                return _answered(done, await body.digest())
        work = asyncio.create_task(self._first(id, replace(call, stream=body.pieces()), body, endpoint))
        self._under_way[id] = work
        work.add_done_callback(lambda _: self._under_way.pop(id))
        done = await asyncio.shield(work)  # it goes on when its client does not
        return _answered(done, await body.digest()) if done.request else done.response

    async def _first(self, id: Id, call: Call, body: Body, endpoint: Callable[[Call], Awaitable[Response]]) -> Done:
        """What became of the request; it is done unless it was before."""
        known = await self._database.awrite(lambda connection: _begin(connection, id, self._clock()))
        if known is not None:
            if not known.request:
                raise Conflict(
                    "a request under this Idempotency-Key was begun, and this node stopped before it was answered; see "
                    "whether what it was to make is there, and take another key if it is not"
                )
            return known
        try:
            made = await endpoint(call)
        except Exception:
            await self._database.awrite(lambda connection: _forget(connection, id))
            raise
        if made.status_code >= 300:
            await self._database.awrite(lambda connection: _forget(connection, id))
            return Done("", made.status_code, bytes(made.body))
        done = Done(await body.digest(), made.status_code, bytes(made.body))
        await self._database.awrite(lambda connection: _keep(connection, id, done, self._clock()))
        return done


def _begin(connection: Connection, id: Id, now: int) -> Done | None:
    """What is known of a request; None when it is to be done, which then is known."""
    table = schema.answers
    connection.execute(delete(table).where(table.c.created_at <= now - KEPT))
    found = connection.execute(select(table).where(*_at(id))).first()
    if found is not None:
        return Done(found.request, found.status, found.body)
    _keep(connection, id, Done("", 0, b""), now)
    return None


def _keep(connection: Connection, id: Id, done: Done, now: int) -> None:
    """Keep an answer, and of this user's others the last that there is room for."""
    table, (user, key) = schema.answers, id
    row = {"user": user, "key": key, "request": done.request, "status": done.status, "body": done.body}
    upsert(connection, table, [{**row, "created_at": now}])
    sizes = select(table.c.key, func.length(table.c.body)).where(table.c.user == user)
    total, gone = 0, list[str]()
    for number, (each, size) in enumerate(connection.execute(sizes.order_by(table.c.created_at.desc(), table.c.key))):
        total += size
        if each != key and (number >= MOST or total > MOST_BYTES):
            gone.append(each)
    if gone:
        connection.execute(delete(table).where(table.c.user == user, table.c.key.in_(gone)))


def _forget(connection: Connection, id: Id) -> None:
    connection.execute(delete(schema.answers).where(*_at(id)))


def _at(id: Id) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return schema.answers.c.user == id[0], schema.answers.c.key == id[1]


def _answered(done: Done, request: str) -> Response:
    if done.request == request:
        return done.response
    return answer({"detail": "this Idempotency-Key was used for another request; take a new one for each"}, 422)
