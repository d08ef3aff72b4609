"""A hub and two nodes in one process, each of which dies at a point of the test's choice and is started again.

Every write to a database, every request and every answer, every blob stored and every task run is a point: just
before it, and just after. Who dies there does nothing any more: its tasks are cancelled, its objects are left, and new
ones are made over the same folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine, insert

from comity.adapters.blob_files import BlobFiles
from comity.adapters.clock import now
from comity.adapters.environments import own
from comity.adapters.execution.job import Job, Outcome, Status
from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import channels
from comity.domain.events import Admission, OrganizationAdmitted
from comity.hub import schema as hub_schema
from comity.hub.app import app
from comity.hub.founder import Founder
from comity.hub.hub import hub
from comity.node import node as node_module
from comity.node import schema as node_schema
from comity.node.address import Address
from comity.node.bundles import Bundles
from comity.node.downloads import Cancel
from comity.node.exchange import Exchange
from comity.node.following import Following
from comity.node.link import Link, check
from comity.node.way import Way
from comity.ports.environments import Environment, EnvironmentsInMemory
from comity.values.digest import digest
from comity.values.errors import Unavailable
from comity.values.keys import Identity

Point = tuple[str, str]
"""Who, and what is about to happen or has just happened there."""


def identity(word: str) -> Identity:
    """The same keys for the same word."""
    return Identity.from_bytes(bytes.fromhex(digest(word.encode())[7:]) * 2)


class Process:
    """The hub or a node, from a start to its death."""

    def __init__(self, network: Network, name: str) -> None:
        self.network, self.name = network, name
        self.died = asyncio.Event()
        self.calls: set[asyncio.Task[Any]] = set()
        self.app: Any = None
        """Of a hub."""

    async def reach(self, what: str) -> None:
        """Go on, unless this is where the process is to die, or it is dead."""
        point = (self.name, what)
        if not self.died.is_set():
            if point not in self.network.reached:
                self.network.reached.append(point)
            if point in self.network.faults:
                self.network.faults.remove(point)
                self.died.set()
        if self.died.is_set():
            await asyncio.Event().wait()


class Watched:
    """A database whose writes are points."""

    def __init__(self, database: Database, process: Process) -> None:
        self._database, self._process = database, process
        self.read, self.aread, self.write = database.read, database.aread, database.write
        self.put_off = database.put_off

    async def awrite(self, work: Callable[..., Any], *, patient: bool = False) -> Any:
        name = work.__qualname__.replace(".<locals>", "").replace(".<lambda>", "")
        await self._process.reach(f"before {name} is written")
        made = await self._database.awrite(work, patient=patient)
        await self._process.reach(f"after {name} was written")
        return made


class Wire:
    """A node's way to the hub, in the place of `Link`."""

    def __init__(self, process: Process, channel: str) -> None:
        self.process, self.channel, self.organization = process, channel, process.name
        self._loop = asyncio.get_running_loop()
        self._link = Link(None, Address("https://hub"), channel, process.name, identity(process.name))  # type: ignore[arg-type]

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float = 30.0) -> bytes:
        header = self._link._headers(method, target, digest(body) if body else "")
        return await self._asked(method, target, header, _once(body))

    async def upload(self, target: str, pieces: AsyncIterator[bytes]) -> bytes:
        return await self._asked("PUT", target, self._link._headers("PUT", target, ""), pieces)

    def download(self, target: str, cancel: Cancel) -> Iterator[bytes]:
        asked = self._asked("GET", target, self._link._headers("GET", target, ""), _once(b""))
        yield ended(asyncio.run_coroutine_threadsafe(asked, self._loop), cancel)

    def close(self) -> None:
        pass

    async def _asked(self, method: str, target: str, header: Any, pieces: AsyncIterator[bytes]) -> bytes:
        route = "/".join(part for part in urlsplit(target).path.split("/") if len(part) < 32)
        await self.process.reach(f"before {method} {route}")
        hub = self.process.network.hub
        if hub is None or hub.died.is_set():
            raise Unavailable("the hub is dead")
        task = asyncio.create_task(_served(hub, method, target, header, pieces))
        hub.calls.add(task)
        try:
            status, answer = await task
        except asyncio.CancelledError:
            if hub.died.is_set() and not self.process.died.is_set():
                raise Unavailable("the hub has died") from None
            task.cancel()
            raise
        finally:
            hub.calls.discard(task)
        await self.process.reach(f"after {method} {route}")
        check(status, answer)
        return answer


def ended(answer: Future[bytes], cancel: Cancel) -> bytes:
    """What is answered to another thread, unless that cancels it."""
    with cancel.ends_by(answer.cancel):
        try:
            return answer.result()
        except CancelledError:
            raise Unavailable("cancelled") from None


class Worker:
    """Runs jobs without a process, in the place of `Pool`: what comes out depends on what goes in."""

    level = "plain"

    def __init__(self, process: Process) -> None:
        self._process = process

    async def run(self, environment: Environment, job: Job, began: Callable[[], object]) -> Outcome:
        began()
        await self._process.reach("before a task runs")
        given = b"".join(path.read_bytes() for path in job.inputs.values() if isinstance(path, Path))
        for name, path in job.outputs.items():
            path.write_text("0.5" if name == "performance" else hashlib.sha256(given + b"trained").hexdigest())
        await self._process.reach("after a task ran")
        return Outcome(Status.DONE)

    async def cancel(self, key: str) -> None: ...


class Stored:
    """Blobs whose arrival is a point."""

    def __init__(self, blobs: BlobFiles, process: Process) -> None:
        self._blobs, self._process = blobs, process
        self._loop = asyncio.get_running_loop()
        self.open, self.size, self.delete = blobs.open, blobs.size, blobs.delete

    def put(self, chunks: Any, expected: Any = None) -> Any:
        self._reach("before a blob is stored")
        made = self._blobs.put(chunks, expected)
        self._reach("after a blob was stored")
        return made

    def _reach(self, what: str) -> None:
        async def reach() -> bool:
            waiting = asyncio.ensure_future(self._process.reach(what))
            await asyncio.wait([waiting], timeout=0)
            dead = self._process.died.is_set()
            waiting.cancel()
            return dead

        if asyncio.run_coroutine_threadsafe(reach(), self._loop).result():
            raise OSError("this process is dead")


class Network:
    """The hub and the nodes a and b; who dies is started again at once."""

    def __init__(self, folder: Path, channel: str) -> None:
        self.folder, self.channel = folder, channel
        self.faults: set[Point] = set()
        self.reached: list[Point] = []
        self.hub: Process | None = None
        self.parts: dict[str, node_module.Part] = {}
        self.processes: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self.founder = founder()

    def start(self, *names: str) -> None:
        """Start processes, each again when it dies."""
        for name in names:
            self._keepers[name] = asyncio.create_task(self._kept(name))

    async def stop(self, *names: str) -> None:
        """Stop processes without a word."""
        for name in names:
            keeper = self._keepers.pop(name)
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def until(self, reached: Callable[[], Any]) -> None:
        """Return once it is so."""
        async with asyncio.timeout(30):
            while not reached():
                await asyncio.sleep(0.02)

    def log(self, name: str, work: Callable[[Log], Any]) -> Any:
        """What the log at a node, or the hub, says, read as it lies on the disk."""
        engine = create_engine(sqlite_url(self.folder / name / ("hub.db" if name == "hub" else "node.db")))
        try:
            with engine.connect() as connection:
                return work(Log(connection, 1))
        finally:
            engine.dispose()

    def rows(self, name: str, query: str) -> list[Any]:
        """Rows of a database as they lie on the disk."""
        file = self.folder / name / ("hub.db" if name == "hub" else "node.db")
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            return connection.execute(query).fetchall()

    async def _kept(self, name: str) -> None:
        while True:
            process = Process(self, name)
            self.processes[name] = process
            work = asyncio.create_task(self._hub(process) if name == "hub" else self._node(process))
            death = asyncio.create_task(process.died.wait())
            try:
                await asyncio.wait([work, death], return_when=asyncio.FIRST_COMPLETED)
            finally:
                dead = process.died.is_set()
                process.died.set()
                ended = [work, death, *process.calls]
                for task in ended:
                    task.cancel()
                await asyncio.wait(ended)
            # What a dead process raises is what its death looks like to it.
            if not dead and not work.cancelled() and (error := work.exception()) is not None:
                raise error

    async def _hub(self, process: Process) -> None:
        database = Database(sqlite_url(self.folder / "hub" / "hub.db"), hub_schema.BRANCHES)
        try:
            signer = identity("hub").signing
            made = hub(Watched(database, process), signer, self.founder, self.folder / "hub")  # type: ignore[arg-type]
            process.app = app(made, lambda: None)
            async with process.app.router.lifespan_context(process.app):
                self.hub = process
                await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(database.close)

    async def _node(self, process: Process) -> None:
        folder = self.folder / process.name
        database = Database(sqlite_url(folder / "node.db"), node_schema.BRANCHES)
        try:
            watched, wire = Watched(database, process), Wire(process, self.channel)
            following = Following(watched, 1, wire, identity(process.name))  # type: ignore[arg-type]
            blobs = Stored(BlobFiles(folder / "blobs"), process)
            exchange = Exchange(following, blobs)  # type: ignore[arg-type]
            worker: Any = Worker(process)
            bundles = Bundles(folder / "bundles", blobs, EnvironmentsInMemory(own.environment(())), worker)  # type: ignore[arg-type]
            way, place = Way(tasks=1, approve="allow"), folder / "channels" / "1"
            part = node_module.part(exchange, bundles, pool=worker, folder=place, way=way, policy=place)
            self.parts[process.name] = part
            await part.run()
        finally:
            await asyncio.to_thread(database.close)

    def backup(self) -> None:
        """Copy the hub's folder, as it is."""
        with (
            sqlite3.connect(self.folder / "hub" / "hub.db") as source,
            sqlite3.connect(self.folder / "backup.db") as target,
        ):
            source.backup(target)

    def restore(self) -> None:
        """Put the copy in the place of the hub's database, which must be stopped."""
        for path in (self.folder / "hub").glob("hub.db*"):
            path.unlink()
        shutil.copy(self.folder / "backup.db", self.folder / "hub" / "hub.db")


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _served(hub: Process, method: str, target: str, header: Any, pieces: AsyncIterator[bytes]) -> Any:
    """What the hub answers to one request: (status, body)."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in header.items()],
        "client": ("192.0.2.1", 1),
        "server": ("hub", 443),
    }
    sent: list[Any] = []
    ended = False

    async def receive() -> dict[str, Any]:
        nonlocal ended
        if ended:
            await asyncio.Event().wait()  # the client stays connected
        piece = await anext(pieces, None)
        ended = piece is None
        return {"type": "http.request", "body": piece or b"", "more_body": not ended}

    async def send(message: Any) -> None:
        sent.append(message)

    await hub.app(scope, receive, send)
    await hub.reach(f"before {method} is answered")
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


def founder() -> Founder:
    return Founder("hub", identity("founder"), now)


@pytest.fixture(scope="session")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(a folder of databases in which a and b are members, and have said nothing yet; the channel)."""
    folder = tmp_path_factory.mktemp("beginning")
    (folder / "hub").mkdir()
    database = Database(sqlite_url(folder / "hub" / "hub.db"), hub_schema.BRANCHES)
    signer = identity("hub").public.signing
    number, channel = database.write(
        lambda connection: founder().create(connection, hub=signer, name="main", admission=Admission())
    )
    for name in ("a", "b"):
        event = OrganizationAdmitted(organization=name, keys=identity(name).public)
        database.write(lambda c, event=event: founder().write(c, number, [event], {}))
        (folder / name).mkdir()
        mine = Database(sqlite_url(folder / name / "node.db"), node_schema.BRANCHES)
        row = {"channel": 1, "digest": channel, "url": "", "certificate": "", "organization": name}
        row |= {"mail": 0, "broken": ""}
        mine.write(lambda c: c.execute(insert(channels).values(id=1, digest=channel)))
        mine.write(lambda c, row=row: c.execute(insert(node_schema.joined).values(row)))
        mine.close()
    database.close()
    return folder, channel


@pytest.fixture
def play(tmp_path: Path, beginning: tuple[Path, str]) -> Callable[..., Any]:
    """Play a story in a new network, and stop it."""
    template, channel = beginning
    count = 0

    def play(story: Callable[[Network], Awaitable[Any]], *faults: Point) -> Any:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        shutil.copytree(template, folder)

        async def told() -> Any:
            network = Network(folder, channel)
            network.faults = set(faults)
            network.start("hub", "a", "b")
            try:
                await network.until(lambda: network.hub is not None and len(network.parts) == 2)
                return await story(network), network
            finally:
                await network.stop(*list(network._keepers))

        return asyncio.run(told())

    return play
