"""The playground alone, in process; its runs are real processes, which one base process for all tests forks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

from comity.faces.playground.alone import application
from comity.faces.playground.limits import Limits
from comity.faces.playground.routes import Playground


@dataclass
class Answer:
    """What came of a request, as far as it has come."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    more: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Task[None] | None = None

    async def end(self) -> None:
        """Until all of it is there."""
        assert self.done is not None
        await self.done

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Server-sent events."""
        found = [each.split("\ndata: ", 1) for each in self.text.split("\n\n") if each]
        return [(name.removeprefix("event: "), json.loads(data)) for name, data in found]


@dataclass
class Visitor:
    """One who asks, from an address."""

    app: Any
    address: str = "192.0.2.1"

    async def ask(self, method: str, target: str, body: str = "", **headers: str) -> Answer:
        answer, _ = self.begin(method, target, body, **headers)
        await answer.end()
        return answer

    def begin(self, method: str, target: str, body: str = "", **headers: str) -> tuple[Answer, asyncio.Event]:
        """(the answer, what to set in order to leave)."""
        path, _, query = target.partition("?")
        given = {"host": "playground.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": (self.address, 1),
            "server": ("playground.example", 80),
        }
        answer, leave, unread = Answer(), asyncio.Event(), [body.encode()]

        async def receive() -> dict[str, Any]:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            answer.body += message.get("body", b"")
            answer.more.set()

        answer.done = asyncio.ensure_future(self.app(scope, receive, send))
        return answer, leave


@dataclass
class Alone:
    """The application, and the loop it lives in."""

    loop: asyncio.AbstractEventLoop
    app: Any
    playground: Playground

    def visitor(self, address: str = "192.0.2.1") -> Visitor:
        return Visitor(self.app, address)

    def do(self, work: Any) -> Any:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))


@pytest.fixture(scope="session")
def alone() -> Generator[Alone]:
    """With the limits that it has by itself."""
    loop = asyncio.new_event_loop()

    async def made() -> Alone:
        app, playground = application(Limits())
        await playground.workers.start()
        return Alone(loop, app, playground)

    started = loop.run_until_complete(made())
    yield started
    loop.run_until_complete(started.playground.workers.stop())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
