"""One request: who makes it, what it asks, and how it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, final

import msgspec
from prometheus_client import CollectorRegistry, Counter
from starlette.requests import Request
from starlette.responses import Response

from comity.adapters import arriving
from comity.adapters.sql.log import Log
from comity.node.accounts.accounts import Accounts
from comity.node.accounts.people import Principal
from comity.node.node import Node, Part
from comity.node.rest.pages import Page, paged
from comity.node.rest.render import View
from comity.node.rest.uploads import Upload, received
from comity.values.errors import InvalidInput, NotFound, Unauthenticated

T = TypeVar("T")

LARGEST_BODY = 32 << 20
"""Bytes of a request that holds no files."""


@final
@dataclass(frozen=True)
class Api:
    """What the routes share."""

    node: Node
    accounts: Accounts
    folder: Path
    """Where uploads are received and uploaded samples lie."""
    sample_roots: tuple[Path, ...]
    """Folders below which data samples may be registered in place."""
    clock: Callable[[], int]
    registry: CollectorRegistry
    requests: Counter


@final
@dataclass(frozen=True)
class Call:
    """A request, and who makes it."""

    api: Api
    request: Request
    caller: Principal | None
    stream: AsyncIterator[bytes]
    """The body as it comes."""

    @property
    def principal(self) -> Principal:
        """Who calls; raises Unauthenticated."""
        if self.caller is None:
            raise Unauthenticated("Authentication credentials were not provided.")
        return self.caller

    @property
    def part(self) -> Part:
        """The node's part in the caller's channel."""
        return self.api.node.part(self.principal.channel)

    @property
    def key(self) -> str:
        """The key in the path; raises NotFound for one that no database could hold."""
        key: str = self.request.path_params["key"]
        if "\0" in key:
            raise NotFound(f"there is nothing called {key!r:.80}")
        return key

    @property
    def base(self) -> str:
        """This node as the caller reaches it, with a slash at the end."""
        return str(self.request.base_url)

    @property
    def parameters(self) -> Mapping[str, str]:
        """The query's parameters; of one that is repeated, the last. Raises InvalidInput for what is no text."""
        given = dict(self.request.query_params)
        if any("\0" in each for each in (*given, *given.values())):
            raise InvalidInput("a parameter of the query holds a zero byte; leave it out")
        return given

    async def read(self, work: Callable[[View], T]) -> T:
        """What `work` finds in the caller's channel."""
        part, now = self.part, self.api.clock()

        def run(log: Log) -> T:
            organization, names = part.following.organization, self.api.accounts.names
            return work(View(log, organization, base=self.base, now=now, names=names))

        return await part.following.read(run)

    async def body(self, most: int = LARGEST_BODY) -> bytes:
        """The body; raises InvalidInput when it is too large, or does not come."""
        return await arriving.body(self.stream, most)

    def upload(self) -> AbstractAsyncContextManager[Upload]:
        """The form with files that is sent; its files lie there until the end."""
        kind = self.request.headers.get("content-type", "")
        return received(kind, arriving.pieces(self.stream), self.api.folder / "uploads")

    def paged(self, page: Page, count: int, results: list[Any]) -> Response:
        """A page as an answer."""
        url = str(self.request.url.replace(query=""))
        return answer(paged(url, self.parameters, page=page, count=count, results=results))


def answer(value: Any, status: int = 200) -> Response:
    """JSON; what is not finite is null."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


Endpoint: TypeAlias = Callable[[Call], Awaitable[Response]]
"""What answers a request."""
