"""Nodes without a network: real logs, real rules, real stores; the hub is a function call, and so is HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
import zipfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
from aiohttp import ClientConnectionError
from argon2 import PasswordHasher
from sqlalchemy import Connection, insert

from comity.adapters.blob_files import BlobFiles
from comity.adapters.environments import own
from comity.adapters.execution import way as execution
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.pool import Pool
from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import channels
from comity.domain.entry import Texts, sign
from comity.domain.events import (
    Admission,
    AnyEvent,
    FunctionApproved,
    FunctionBuilding,
    FunctionReady,
    OrganizationAdmitted,
    OutputMade,
    TaskDone,
    TaskFailed,
    TaskStarted,
)
from comity.domain.letter import Holds, Wanted
from comity.domain.records import Function, Task, need
from comity.hub.founder import Founder
from comity.node import schema
from comity.node.accounts.accounts import Accounts
from comity.node.accounts.roles import Role
from comity.node.address import Address
from comity.node.asked import check
from comity.node.bundles import Bundles
from comity.node.exchange import Exchange
from comity.node.following import Following
from comity.node.link import Link
from comity.node.node import Node, Part, part
from comity.node.rest.app import Dress, app, bare
from comity.node.way import Way
from comity.ports.environments import EnvironmentsInMemory
from comity.values.digest import Digest
from comity.values.keys import Identity, to_base64

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"
ARCHIVE = {"function.json": b'{"entry": "model:train"}', "model.py": b"def train(inputs, outputs, properties): ...\n"}
OPENER = b"""
import substratools

class Rows(substratools.Opener):
    def get_data(self, folders):
        return folders

    def fake_data(self, n_samples):
        return []
"""
PUBLIC = {"public": True, "authorized_ids": []}


def private(*organizations: str) -> dict[str, Any]:
    return {"public": False, "authorized_ids": list(organizations)}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """As the stock client packs a folder."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


class Clock:
    """A second passes whenever someone looks."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000
        self.step = 1000

    def __call__(self) -> int:
        self.now += self.step
        return self.now


class NoHub:
    """A session that reaches nobody."""

    def request(self, *_: Any, **__: Any) -> Any:
        raise ClientConnectionError("there is no hub")


@dataclass(frozen=True)
class Reply:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Someone who calls one node's application, in process; every request is an ASGI call."""

    loop: asyncio.AbstractEventLoop
    app: Any
    token: str = ""
    scheme: str = "Token"
    host: str = "node.example"

    def get(self, target: str, **query: Any) -> Reply:
        return self.call("GET", target + (f"?{urlencode(query, doseq=True)}" if query else ""))

    def post(self, target: str, value: Any = None) -> Reply:
        return self.call("POST", target, json.dumps(value).encode(), "application/json")

    def put(self, target: str, value: Any) -> Reply:
        return self.call("PUT", target, json.dumps(value).encode(), "application/json")

    def form(self, target: str, fields: Mapping[str, Any]) -> Reply:
        return self.call("POST", target, urlencode(fields, doseq=True).encode(), "application/x-www-form-urlencoded")

    def upload(self, target: str, value: Any, files: Mapping[str, bytes]) -> Reply:
        """As `requests` encodes data={"json": ...} and files."""
        boundary = "0f1e2d3c4b5a"
        parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="json"\r\n\r\n{json.dumps(value)}\r\n'.encode()]
        for name, data in files.items():
            header = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
            parts.append(header.encode() + data + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        return self.call("POST", target, body, f"multipart/form-data; boundary={boundary}")

    def call(self, method: str, target: str, body: bytes = b"", kind: str = "", **more: str) -> Reply:
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        return self.loop.run_until_complete(self._call(method, target, body, kind, headers))

    async def _call(
        self, method: str, target: str, body: bytes, kind: str, more: Mapping[str, str] | None = None
    ) -> Reply:
        path, _, query = target.removeprefix(f"http://{self.host}").partition("?")
        shown = f"{self.scheme} {self.token}" if self.token else ""
        headers = {"host": self.host, "authorization": shown, "content-type": kind, **(more or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
            "client": ("192.0.2.1", 1),
            "server": ("node.example", 80),
        }
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)] or [b""]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], answered, b"".join(each.get("body", b"") for each in sent[1:]))


@dataclass
class Place:
    """One organization's node in the channel `main`, and, for the first of them, in `other`."""

    name: str
    node: Node
    accounts: Accounts
    app: Any
    loop: asyncio.AbstractEventLoop
    folder: Path
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    _clients: dict[tuple[Role, str], Client] = field(default_factory=dict[tuple[Role, str], Client])

    def client(self, role: Role = Role.ADMIN, channel: str = "main") -> Client:
        """A user of this role, logged in."""
        if (role, channel) not in self._clients:
            username = f"{role.value}-{channel}"
            self.accounts.add(self.numbers[channel], username, password=PASSWORD, role=role)
            issued = self.accounts.login(username, PASSWORD, address="192.0.2.1")
            self._clients[role, channel] = Client(self.loop, self.app, issued.secret)
        return self._clients[role, channel]

    def forget(self) -> None:
        """Let users log in anew, whose tokens have ended."""
        for role, channel in self._clients:
            issued = self.accounts.login(f"{role.value}-{channel}", PASSWORD, address="192.0.2.1")
            self._clients[role, channel] = Client(self.loop, self.app, issued.secret)

    @property
    def anyone(self) -> Client:
        return self.shows("")

    def shows(self, token: str, scheme: str = "Token") -> Client:
        """Someone who shows this token."""
        return Client(self.loop, self.app, token, scheme)

    def part(self, channel: str = "main") -> Part:
        return self.node.parts[self.numbers[channel]]

    def read(self, kind: Any, key: str, channel: str = "main") -> Any:
        with self.node.database.read() as connection:
            return need(Log(connection, self.numbers[channel]).records, kind, key)


class Network:
    """Organizations, and a hub that orders what any of them writes and shows it to all at once."""

    PUBLIC, ARCHIVE, OPENER, PASSWORD, HASHER = PUBLIC, ARCHIVE, OPENER, PASSWORD, HASHER
    private, zipped = staticmethod(private), staticmethod(zipped)

    def __init__(self, folder: Path, names: Sequence[str], dress: Dress = bare) -> None:
        self.dress = dress
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.folder = folder
        self.hub = Database(sqlite_url(folder / "hub.db"), schema.BRANCHES)
        self.founder = Founder("hub", Identity.generate(), self.clock)
        self.places: dict[str, Place] = {}
        for name in names:
            self.places[name] = self._place(name)
        self.channel("main", names)

    def channel(self, name: str, members: Sequence[str]) -> None:
        """A channel of these organizations, which then are in it."""
        hub = to_base64(bytes(32))
        number, digest = self.hub.write(
            lambda connection: self.founder.create(connection, hub=hub, name=name, admission=Admission())
        )
        for member in members:
            keys = self.places[member].node.identity.public
            admitted = OrganizationAdmitted(organization=member, keys=keys)
            self.hub.write(lambda c, admitted=admitted: self.founder.write(c, number, [admitted], {}))
        for member in members:
            self._join(self.places[member], name, number, digest)
        self.deliver(number)

    def deliver(self, number: int) -> None:
        """Show every node what it has not seen."""
        for place in self.places.values():
            for mine, each in place.node.parts.items():
                if each.following.link.channel == self._digest(number):
                    place.node.database.write(lambda c, mine=mine: self._catch_up(c, mine, number))

    def write(self, author: str, *events: AnyEvent, channel: str = "main") -> None:
        """What an organization's node says by itself."""
        place = self.places[author]
        self.loop.run_until_complete(place.part(channel).following.write(events, {}))

    # What tests begin with

    def dataset(self, owner: str = "a", permissions: Any = PUBLIC, logs: Any = None, **more: Any) -> dict[str, Any]:
        body = {"name": "heart", "permissions": permissions, "logs_permission": logs or private(), **more}
        reply = self.client(owner).upload("/data_manager/", body, {"data_opener": OPENER, "description": b"# Heart"})
        assert reply.status == 201, reply.body
        return reply.json

    def sample(self, dataset: str, owner: str = "a") -> str:
        body = {"data_manager_keys": [dataset]}
        reply = self.client(owner).upload("/data_sample/", body, {"path": zipped({"rows.csv": b"1,2\n"})})
        assert reply.status == 201, reply.body
        return reply.json[0]["key"]

    def function(self, owner: str = "a", permissions: Any = PUBLIC, **more: Any) -> dict[str, Any]:
        """One that takes any number of models, and leaves a model."""
        models = {"kind": "ASSET_MODEL", "multiple": True, "optional": True}
        body = {
            "name": "train",
            "permissions": permissions,
            "inputs": {"models": models},
            "outputs": {"model": {"kind": "ASSET_MODEL", "multiple": False}},
            **more,
        }
        reply = self.client(owner).upload("/function/", body, {"file": zipped(ARCHIVE), "description": b"# Train"})
        assert reply.status == 201, reply.body
        return reply.json

    def build(self, function: str) -> None:
        """Every organization approves of a function, and its owner builds it."""
        found = next(iter(self.places.values())).read(Function, function)
        for name in self.places:
            if name != found.owner:
                self.write(name, FunctionApproved(archive=found.archive, by="policy"))
        self.write(found.owner, FunctionBuilding(key=function), FunctionReady(key=function))

    def plan(self, owner: str = "a", **more: Any) -> dict[str, Any]:
        reply = self.client(owner).post("/compute_plan/", {"key": str(uuid.uuid4()), "name": "study", **more})
        assert reply.status == 201, reply.body
        return reply.json

    def task(self, plan: str, function: str, worker: str = "a", **more: Any) -> dict[str, Any]:
        """A task as clients send it."""
        return {
            "key": str(uuid.uuid4()),
            "tag": None,
            "compute_plan_key": plan,
            "metadata": None,
            "function_key": function,
            "worker": worker,
            "rank": None,
            "inputs": [],
            "outputs": {"model": {"permissions": PUBLIC, "transient": False}},
            **more,
        }

    def add(self, *tasks: dict[str, Any], owner: str = "a") -> list[dict[str, Any]]:
        reply = self.client(owner).post("/task/bulk_create/", {"tasks": list(tasks)})
        assert reply.status == 200, reply.body
        return reply.json

    def run(
        self,
        task: str,
        data: bytes = b"weights",
        performance: str = "0.5",
        durations: Mapping[str, int] | None = None,
    ) -> str:
        """The worker does a task; the key of its model."""
        found = next(iter(self.places.values())).read(Task, task)
        worker = self.places[found.worker]
        function = worker.read(Function, found.function)
        blob, model = worker.node.blobs.put([data]), str(uuid.uuid5(uuid.UUID(task), "model"))
        outputs = {
            name: OutputMade(performance=performance)
            if function.outputs[name].kind == "ASSET_PERFORMANCE"
            else OutputMade(key=model, blob=blob, size=len(data))
            for name in found.outputs
        }
        done = TaskDone(key=task, outputs=outputs, durations=dict(durations or {}))
        self.write(found.worker, TaskStarted(key=task, attempt=1), done)
        return model

    def fail(self, task: str, log: str | None = None) -> None:
        """The worker tries a task in vain, and may keep a log."""
        worker = self.places[next(iter(self.places.values())).read(Task, task).worker]
        if log is not None:
            path = worker.part().scheduler.log_of(task)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(log)
        failed = TaskFailed(key=task, error="EXECUTION_ERROR", log=log is not None)
        self.write(worker.name, TaskStarted(key=task, attempt=1), failed)

    def client(self, owner: str = "a", role: Role = Role.ADMIN, channel: str = "main") -> Client:
        return self.places[owner].client(role, channel)

    def close(self) -> None:
        for place in self.places.values():
            place.node.database.close()
        self.hub.close()
        self.loop.close()

    def _place(self, name: str) -> Place:
        folder = self.folder / name
        folder.mkdir()
        database = Database(sqlite_url(folder / "node.db"), schema.BRANCHES)
        node = Node(database, BlobFiles(folder / "blobs"), Identity.generate(), {})
        accounts = Accounts(database, self.clock, hasher=HASHER)
        made = app(node, accounts, folder=folder, sample_roots=[folder / "data"], clock=self.clock, dress=self.dress)
        return Place(name, node, accounts, made, self.loop, folder)

    def _join(self, place: Place, name: str, number: int, digest: str) -> None:
        node, mine = place.node, len(place.numbers) + 1
        node.database.write(lambda c: c.execute(insert(channels).values(id=mine, digest=digest)))
        link = Link(NoHub(), Address("https://hub.example"), digest, place.name, node.identity)  # type: ignore[arg-type]
        following = Following(node.database, mine, link, node.identity)
        exchange = Exchange(following, node.blobs)

        async def write(events: Sequence[AnyEvent], texts: Texts) -> None:
            await following.check(events)
            self.hub.write(lambda connection: self._order(connection, place, number, events, texts))
            self.deliver(number)

        async def have(blob: str, *, owner: str, holds: Holds, asset: str) -> None:
            if node.blobs.size(Digest(blob)) is None:
                await self._give(number, place, owner, Wanted(blob=blob, holds=holds, asset=asset))

        async def have_log(task: str, owner: str) -> bytes:
            return await self.places[owner].part(name).log_letters.given(place.name, task)

        following.connected = True
        following.write = write  # type: ignore[method-assign]
        exchange.have = have  # type: ignore[method-assign]
        here = place.folder / "channels" / name
        pool = Pool(1, here / "sandboxes", execution.Way(level=Level.PLAIN))
        asyncio.run(pool.start())
        bundles = Bundles(place.folder / "bundles", node.blobs, EnvironmentsInMemory(own.environment(())), pool)
        node.parts[mine] = part(exchange, bundles, pool=pool, folder=here, way=Way(tasks=1), policy=place.folder)
        node.parts[mine].log_letters.have = have_log  # type: ignore[method-assign]
        place.numbers[name] = mine

    async def _give(self, number: int, to: Place, owner: str, letter: Wanted) -> None:
        """What the owner's node does with a letter."""
        with self.hub.read() as connection:
            check(Log(connection, number), to.name, letter)
        to.node.blobs.put(self.places[owner].node.blobs.open(Digest(letter.blob)), Digest(letter.blob))

    def _order(
        self, connection: Connection, place: Place, number: int, events: Sequence[AnyEvent], texts: Texts
    ) -> None:
        log = Log(connection, number)
        statement = log.next_statement(place.name, str(uuid.uuid4()), events)
        log.order(sign(statement, place.node.identity, texts), self.clock())

    def _catch_up(self, connection: Connection, mine: int, number: int) -> None:
        log = Log(connection, mine)
        with self.hub.read() as hub:
            for delivery in Log(hub, number).deliveries(log.size, 1000):
                log.append(bytes(delivery.leaf), delivery.texts)

    def _digest(self, number: int) -> str:
        with self.hub.read() as connection:
            return connection.execute(channels.select().where(channels.c.id == number)).one().digest


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Generator[Network]:
    """As `network`, for all tests of a module."""
    made = Network(tmp_path_factory.mktemp("steady"), ["a", "b"])
    yield made
    made.close()


@pytest.fixture
def network(tmp_path: Path) -> Generator[Network]:
    """The organizations a and b in the channel `main`."""
    made = Network(tmp_path, ["a", "b"])
    yield made
    made.close()
