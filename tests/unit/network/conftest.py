"""A real hub and real followers in one process, with room for an adversary between them; no sockets, no waiting."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from sqlalchemy import insert, select

from comity.adapters.clock import now
from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Delivery, Log
from comity.adapters.sql.schema import channels, leaves
from comity.domain.entry import Entry, Statement, Texts, canonical, leaf_bytes, sign
from comity.domain.events import Admission, AnyEvent, PlanRegistered, texts_of
from comity.domain.joining import Token, write_join
from comity.domain.request import SignedRequest, authorization
from comity.domain.words import written
from comity.hub.app import app
from comity.hub.founder import Founder
from comity.hub.hub import hub
from comity.hub.limits import Limits
from comity.hub.schema import BRANCHES as HUB_BRANCHES
from comity.ledger.checkpoint import Checkpoint, sign_checkpoint
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.node import schema
from comity.node.downloads import Cancel
from comity.node.following import Following
from comity.node.link import check
from comity.node.news import News
from comity.values.digest import digest
from comity.values.keys import Identity

T = TypeVar("T")

NAME, TEXTS = written("a name", bytes(16))


def key(word: object) -> str:
    """The same UUID for the same word."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(word)))


def identity(word: str) -> Identity:
    """The same keys for the same word."""
    return Identity.from_bytes(bytes.fromhex(digest(word.encode())[7:]) * 2)


def plan(word: object) -> tuple[PlanRegistered, Texts]:
    """A plan with a name, and the name."""
    name, texts = written(f"plan {word}", digest(str(word).encode()).encode()[:16])
    return PlanRegistered(key=key(word), name=name), texts


@dataclass
class Answer:
    """What the hub answers."""

    status: int
    content: bytes
    kind: str = ""
    """Its media type."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)


@dataclass
class Channel:
    """A channel of the hub."""

    number: int
    digest: str


@dataclass
class Between:
    """An organization's way to the hub, in the place of `Link`; `change` is what an adversary makes of the news."""

    network: Network
    channel: str
    organization: str
    identity: Identity
    change: Callable[[bytes], bytes] = lambda body: body
    last: bytes = b""
    """The last news, as they were changed."""

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float = 0) -> bytes:
        path = target.partition("&wait=")[0]
        answer = await self.network.ask(self, method, path, body)
        check(answer.status, answer.content)
        if not path.startswith("/news"):
            return answer.content
        self.last = self.change(answer.content)
        return self.last

    async def upload(self, target: str, pieces: AsyncIterator[bytes]) -> bytes:
        body = b"".join([piece async for piece in pieces])
        answer = await self.network.ask(self, "PUT", target, body)
        check(answer.status, answer.content)
        return answer.content

    def download(self, target: str, cancel: Cancel) -> Iterator[bytes]:
        asked = asyncio.run_coroutine_threadsafe(self.network.ask(self, "GET", target), self.network.loop)
        with cancel.ends_by(asked.cancel):
            answer = asked.result()
        check(answer.status, answer.content)
        yield answer.content

    def close(self) -> None:
        pass

    def sent(self, method: str, target: str, body: bytes = b"", /, **fields: Any) -> SignedRequest:
        """What this organization signs."""
        named = "" if method == "PUT" or not body else digest(body)
        made = SignedRequest(
            organization=self.organization,
            channel=self.channel,
            method=method,
            target=target,
            body=named,
            time=now(),
            nonce=secrets.token_hex(16),
        )
        return msgspec.structs.replace(made, **fields)


@dataclass
class Node:
    """A follower with a database of its own."""

    database: Database
    following: Following
    link: Between

    def catch_up(self) -> None:
        """Ask for news once; raises what it raises."""

        async def deal(mail: object) -> None:
            self.mail.append(mail)

        self.link.network.run(self.following.catch_up(deal))

    mail: list[Any] = field(default_factory=list[Any])

    def read(self, work: Callable[[Log], Any]) -> Any:
        with self.database.read() as connection:
            return work(Log(connection, 1))

    @property
    def leaves(self) -> list[bytes]:
        with self.database.read() as connection:
            return list(connection.execute(select(leaves.c.leaf).order_by(leaves.c.place)).scalars())

    def restart(self) -> None:
        """The same node as another process."""
        self.following = Following(self.database, 1, self.link, self.link.identity)  # type: ignore[arg-type]


class Network:
    """A hub with the channels "main" and "other"."""

    NAME = NAME
    key, identity, plan = staticmethod(key), staticmethod(identity), staticmethod(plan)

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.database = Database(sqlite_url(folder / "hub.db"), HUB_BRANCHES)
        self.founder = Founder("hub", identity("founder"), now)
        self.hub = hub(self.database, identity("hub").signing, self.founder, folder, limits)
        self.app = app(self.hub, lambda: None)
        self.loop = asyncio.new_event_loop()
        self.channels: dict[str, Channel] = {}
        self.nodes: dict[str, Node] = {}

    def create(self, name: str, *members: str) -> Channel:
        """A channel of these members, who joined with their tokens."""
        signer = identity("hub").public.signing
        made = self.database.write(
            lambda connection: self.founder.create(connection, hub=signer, name=name, admission=Admission())
        )
        self.channels[name] = Channel(*made)
        for member in members:
            assert self.join(name, member).status == 200
        return self.channels[name]

    def join(self, channel: str, member: str) -> Answer:
        """Invite an organization and let it join by its token."""
        here = self.channels[channel]
        secret = self.database.write(
            lambda connection: self.founder.invite(connection, here.number, member, expires=now() + 10_000)
        )
        self.hub.ordering.wake(here.number)
        token = Token(url="", hub="", channel=here.digest, organization=member, secret=secret, expires=now() + 10_000)
        return self.run(self.call("POST", "/join", write_join(token, identity(member))))

    def node(self, member: str, channel: str = "main") -> Node:
        """The member's node in the channel."""
        if member in self.nodes:
            return self.nodes[member]
        here = self.channels[channel]
        database = Database(sqlite_url(self.folder / f"{member}.db"), schema.BRANCHES)
        row = {"channel": 1, "digest": here.digest, "url": "", "certificate": "", "organization": member}
        row |= {"mail": 0, "broken": ""}
        database.write(lambda connection: connection.execute(insert(channels).values(id=1, digest=here.digest)))
        database.write(lambda connection: connection.execute(insert(schema.joined).values(row)))
        link = self.link(member, channel)
        following = Following(database, 1, link, link.identity)  # type: ignore[arg-type]
        self.nodes[member] = Node(database, following, link)
        return self.nodes[member]

    def link(self, member: str, channel: str = "main") -> Between:
        return Between(self, self.channels[channel].digest, member, identity(member))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to; hub and nodes share one event loop."""
        return self.loop.run_until_complete(work)

    def settle(self, sites: Mapping[str, Any], work: Coroutine[Any, Any, Any] | None = None) -> Any:
        """Let nodes follow and deal with letters until the work is done, or until nothing is under way."""

        async def run() -> Any:
            task, quiet = asyncio.ensure_future(work) if work is not None else None, 0
            for _ in range(3000):
                await asyncio.sleep(0.001)  # time for what the nodes do in threads, which they may not wait for here
                for site in sites.values():
                    await site.node.following.catch_up(site.exchange.deal)
                busy = any(site.exchange._tasks or site.node.following._letters for site in sites.values())
                quiet = 0 if busy else quiet + 1
                # the last to fall quiet may have posted a letter that the others have not looked for yet
                if task.done() if task else quiet == 2:
                    return task and task.result()
            raise AssertionError("it never ends")

        return self.run(run())

    def request(self, link: Between, method: str, target: str, body: bytes = b"", /, **fields: Any) -> Answer:
        """A signed request; fields of what is signed may be others."""
        return self.run(self.ask(link, method, target, body, **fields))

    async def ask(self, link: Between, method: str, target: str, body: bytes = b"", /, **fields: Any) -> Answer:
        header = authorization(link.sent(method, target, body, **fields), link.identity)
        return await self.call(method, target, body, authorization=header)

    async def call(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """A request as it is."""
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
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("192.0.2.1", 1),
            "server": ("hub", 443),
        }
        self.pieces = pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if not pieces:
                await asyncio.Event().wait()  # the client stays connected
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        kind = dict(sent[0]["headers"]).get(b"content-type", b"").decode()
        return Answer(sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:]), kind)

    def log(self, work: Callable[[Log], Any], channel: str = "main") -> Any:
        """What the hub's own log says."""
        with self.database.read() as connection:
            return work(Log(connection, self.channels[channel].number))

    def statement(self, author: str, *events: AnyEvent, channel: str = "main") -> Statement:
        """What the author has to sign next."""
        return self.log(lambda log: log.next_statement(author, str(uuid.uuid4()), events), channel)

    def write(self, author: str, word: object, channel: str = "main") -> Entry:
        """A plan of the author's, ordered by the hub."""
        event, texts = plan(word)
        entry = sign(self.statement(author, event, channel=channel), identity(author), texts)
        answer = self.request(self.link(author, channel), "POST", "/entries", canonical([entry]))
        assert "place" in answer.json[0], answer.content
        return entry

    def say(self, author: str, *events: AnyEvent, channel: str = "main") -> None:
        """Events, ordered by the hub; `NAME` is the only text in them."""
        number = self.channels[channel].number
        signer = identity("founder" if author == "hub" else author)
        texts = TEXTS if any(NAME in texts_of(event) for event in events) else {}
        entry = sign(self.statement(author, *events, channel=channel), signer, texts)
        self.database.write(lambda connection: Log(connection, number).order(entry, now()))
        self.hub.ordering.wake(number)

    # What a dishonest hub does

    def deliveries(self, start: int = 0, channel: str = "main") -> list[Delivery]:
        return self.log(lambda log: log.deliveries(start, 1000), channel)

    @staticmethod
    def leaf(entry: Entry, ordered_at: int | None = None) -> Delivery:
        """An entry as the hub would put it into a log."""
        raw = leaf_bytes(entry, ordered_at or now())
        return Delivery(leaf=msgspec.Raw(raw), texts=entry.texts)

    def news(self, start: int, shown: Sequence[Delivery], *, size: int | None = None, note: str | None = None) -> bytes:
        """Any leaves after the first `start` true ones, with a true signature of whatever that is."""
        if note is None:
            note = self.note([bytes(each.leaf) for each in [*self.deliveries()[:start], *shown]])
        return canonical(News(list(shown), start + len(shown) if size is None else size, note, []))

    def note(self, of: Sequence[bytes], *, origin: str = "", signer: Identity | None = None) -> str:
        """The hub's signed checkpoint of these leaves."""
        tree = Tree(HashesInMemory(), size=0)
        for leaf in of:
            tree.append(leaf_hash(leaf))
        name = origin or self.channels["main"].digest
        return sign_checkpoint(Checkpoint(name, tree.size, tree.root()), name, (signer or identity("hub")).signing)

    def close(self) -> None:
        for node in self.nodes.values():
            node.database.close()
        self.database.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@contextmanager
def open_network(folder: Path, limits: Limits | None = None) -> Iterator[Network]:
    """A network with the channel "main" of the founder "hub" and of a, b and c; "other" of a and z."""
    network = Network(folder, limits)
    at_work = network.app.router.lifespan_context(network.app)
    network.run(at_work.__aenter__())
    try:
        network.create("main", "a", "b", "c")
        network.create("other", "a", "z")
        yield network
    finally:
        network.run(at_work.__aexit__(None, None, None))
        network.close()


@pytest.fixture(scope="session", name="open_network")
def _open_network() -> Callable[..., Any]:
    return open_network


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Network]]:
    """A network with limits of the test's choice."""
    with ExitStack() as stack:
        yield lambda **limits: stack.enter_context(open_network(tmp_path, Limits(**limits)))


@pytest.fixture
def network(build: Callable[..., Network]) -> Network:
    """A network."""
    return build()
