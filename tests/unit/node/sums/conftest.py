"""Sites and an aggregator that make a masked sum: real machines and databases, and letters between them by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert
from tests.unit.domain.conftest import Grown, left

from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Log
from comity.adapters.sql.records import RecordsSql
from comity.adapters.sql.schema import channels
from comity.domain.events import Masking, OutputMade, TaskDone, TaskStarted
from comity.domain.records import Function, Organization
from comity.node import schema
from comity.node.sums.mail import SumMail
from comity.node.watchers import Watchers
from comity.ports.blobs import BlobsInMemory
from comity.values import codec
from comity.values.errors import NotFound

MASKING = Masking(clip="8.0", max_weight=100, metric_limit="8.0")


class Following:
    """Of one node: what it knows of the log, which the test brings to it, and what it says."""

    def __init__(self, database: Database, made: Grown, organization: str) -> None:
        self.database, self.channel, self.organization = database, 1, organization
        self.identity = made.log.identities[organization]
        self.events: list[Any] = []
        self.watchers = Watchers()

    def watch(self, *about: Any) -> asyncio.Event:
        return self.watchers.add(about)

    def unwatch(self, watcher: asyncio.Event) -> None:
        self.watchers.remove(watcher)

    async def read(self, work: Callable[[Log], Any]) -> Any:
        return await self.database.aread(lambda connection: work(self.log(connection)))

    def log(self, connection: Any) -> Log:
        return Log(connection, 1)

    def say(self, connection: Any, events: Any, texts: Any) -> None:
        self.events += events

    def said(self) -> None:
        pass

    async def until(self, reached: Callable[[], Any]) -> None:
        watcher = self.watch()
        try:
            while not await reached():
                await watcher.wait()
                watcher.clear()
        finally:
            self.unwatch(watcher)


class Exchange:
    """Of one node; letters and blobs go to the others at once, unless they are lost."""

    def __init__(self, parties: Parties, following: Following) -> None:
        self.parties, self.following, self.blobs = parties, following, BlobsInMemory()
        self.sending = self
        self.tasks: set[asyncio.Task[None]] = set()

    async def ask(self, to: str, letter: Any) -> None:
        here = self.following.organization
        if self.parties.made.log.get(Organization, to).status != "member":
            raise NotFound(f"{to} has left the channel")
        if to not in self.parties.away and here not in self.parties.away:
            await self.parties.mail[to].deal(here, letter)

    def instead(self, name: str, work: Any) -> None:
        async def guarded() -> None:
            try:
                await work
            except NotFound:
                return

        task = asyncio.create_task(guarded(), name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _: work.close())

    async def have(self, blob: str, *, owner: str, holds: str, asset: str, size: int | None = None) -> None:
        data = b"".join(self.parties.exchange[owner].blobs.open(blob))
        assert size in (None, len(data))
        self.blobs.put([data])

    def forget(self, *_: Any) -> None:
        pass

    def forgot(self, *_: Any) -> None:
        pass


class Parties:
    """All of them, and the log that they share."""

    def __init__(self, made: Grown, folder: Path) -> None:
        self.made, self.folder = made, folder
        self.away: set[str] = set()
        self.refusing: set[str] = set()
        self.exchange: dict[str, Exchange] = {}
        self.mail: dict[str, SumMail] = {}
        self.running: dict[str, asyncio.Task[None]] = {}
        for name in (*made.growth.sites, "z"):
            database = Database(sqlite_url(folder / f"{name}.db"), schema.BRANCHES)
            database.write(lambda connection: connection.execute(insert(channels).values(id=1, digest="1")))
            self.exchange[name] = Exchange(self, Following(database, made, name))
            self.begin(name)
        self.tell()

    def begin(self, name: str) -> None:
        """A process of this party's, over what it has kept."""
        self.mail[name] = SumMail(self.exchange[name], self._still, self.folder / name)  # type: ignore[arg-type]
        self.mail[name].made._clock = lambda: self.made.log.now

    async def _still(self, task: Any) -> str:
        return f"the policy of {task.worker} refuses it" if task.worker in self.refusing else ""

    def start(self, *names: str) -> None:
        for name in names or self.mail:
            self.running[name] = asyncio.create_task(self.mail[name].run())

    async def kill(self, name: str) -> None:
        """The process dies, and with it what it was doing."""
        exchange = self.exchange[name]
        tasks = [self.running.pop(name), *exchange.tasks]
        tasks += [each for live in self.mail[name].made._live.values() for each in live.fetching.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.begin(name)

    def tell(self) -> None:
        """Every party learns what is in the log."""
        for exchange in self.exchange.values():
            exchange.following.database.write(self._project)
            exchange.following.watchers.wake()

    def _project(self, connection: Any) -> None:
        records = RecordsSql(connection, 1)
        for held in self.made.log.records.held.values():
            for record in held.values():
                records.put(record)

    def trains(self, site: str, tree: Any) -> None:
        """The site's part of round 1 is done, and has left this tree, or these bytes."""
        data = tree if isinstance(tree, bytes) else codec.encode(tree)
        blob = self.exchange[site].blobs.put([data])
        task = self.made.task("local", 1, site)
        outputs = left(self.made.log.get(Function, task.function), task, "0.5")
        outputs["contribution"] = OutputMade(key=outputs["contribution"].key, blob=blob, size=len(data))
        self.made.log.write(site, TaskStarted(key=task.key, attempt=1), TaskDone(key=task.key, outputs=outputs))

    async def closed(self) -> Any:
        """What the aggregator says of the sum, once it does; then it is in the log."""
        following = self.exchange["z"].following
        while not following.events:
            died = [task for task in self.running.values() if task.done()]
            assert not died, died
            await asyncio.sleep(0.01)  # the only other way would be to look into the machines
        event = following.events.pop(0)
        self.made.log.write("z", event)
        self.tell()
        return event

    async def close(self) -> None:
        tasks = [*self.running.values(), *(task for each in self.exchange.values() for task in each.tasks)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for exchange in self.exchange.values():
            exchange.following.database.close()


@pytest.fixture
def parties(tmp_path):
    """Four sites a to d with a plan of a's, and z that adds."""

    def made(sites: str = "abcd", **growth: Any) -> Parties:
        how = {"sites": sites, "aggregator": "z", "masking": MASKING, "quorum": "1", **growth}
        return Parties(Grown(*dict.fromkeys([*"abcd", *sites, "z"]), **how).begin(), tmp_path)

    return made


@pytest.fixture
def contribution():
    """What a site gives: `w` of so many numbers, and its weight."""
    return lambda value, count=5, weight=2.0: {
        "total": {"w": np.full(count, value, np.float32)},
        "weight": np.asarray(weight),
        "~salt": np.zeros(32, np.uint8),
    }
