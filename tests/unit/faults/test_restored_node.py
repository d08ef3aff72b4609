"""A node that was put back to an older copy of its database learns what it said since, and says nothing twice."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from contextlib import closing
from typing import Any

import pytest
import structlog.testing

from comity.domain.entry import read_leaf, read_statement
from comity.domain.events import PlanRegistered, Renamed
from comity.domain.records import Plan
from comity.domain.words import written
from comity.node.scheduler import Scheduler


def key(word: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, word))


def named(word: str) -> tuple[PlanRegistered, dict[str, tuple[str, str]]]:
    name, texts = written(word, bytes(16))
    return PlanRegistered(key=key(word), name=name), texts


async def write(network: Any, who: str, word: str) -> None:
    """A plan of an organization's, once its own node has it."""
    event, texts = named(word)
    await network.parts[who].following.insist([event], texts)


def leaves(network: Any, who: str) -> list[bytes]:
    return [leaf for (leaf,) in network.rows(who, "select leaf from leaves order by place")]


def said(network: Any, who: str) -> list[int]:
    """The author's own numbers of its entries, as the hub has them."""
    statements = [read_statement(read_leaf(leaf).statement) for leaf in leaves(network, "hub")]
    return [each.sequence for each in statements if each.author == who]


def copy(network: Any, source: str, target: str) -> None:
    with (
        closing(sqlite3.connect(network.folder / source)) as old,
        closing(sqlite3.connect(network.folder / target)) as new,
    ):
        old.backup(new)


async def restore(network: Any) -> None:
    await network.stop("a")
    for path in (network.folder / "a").glob("node.db*"):
        path.unlink()
    copy(network, "backup.db", "a/node.db")


async def start(network: Any) -> None:
    before = network.parts["a"]
    network.start("a")
    await network.until(lambda: network.parts["a"] is not before)


def same(network: Any) -> bool:
    return leaves(network, "hub") == leaves(network, "a")


def quiet(network: Any) -> bool:
    return not network.rows("a", "select * from outbox") and same(network)


def test_what_it_said_since_is_taken_back_and_it_goes_on_from_there(play):
    async def story(network):
        await write(network, "a", "before")
        copy(network, "a/node.db", "backup.db")
        for word in ("one", "two"):
            await write(network, "a", word)
        before = leaves(network, "hub")
        await restore(network)
        assert len(leaves(network, "a")) < len(before)
        with structlog.testing.capture_logs() as events:
            await start(network)
            await write(network, "a", "after")
        assert {"entries": 2, "event": "restored from a backup: took back what this node had said since"} in [
            {name: each[name] for name in ("entries", "event") if name in each} for each in events
        ]
        await network.until(lambda: same(network))
        assert leaves(network, "hub")[: len(before)] == before
        assert said(network, "a") == list(range(len(said(network, "a"))))
        assert network.log("a", lambda log: log.records.get(Plan, key("after")))

    play(story)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_what_its_outbox_still_held_then_is_not_said_again(play, signed):
    """Nothing in the rules would refuse the older name a second time."""

    async def story(network):
        await write(network, "a", "plan")
        await network.stop("hub")
        following = network.parts["a"].following
        for word in ("first name", "second name"):
            name, texts = written(word, word.encode().ljust(16))
            rename = Renamed(kind="plan", key=key("plan"), name=name)
            await following.database.awrite(lambda c, each=(rename, texts): following.say(c, [each[0]], each[1]))
        if signed:
            entry = await following.database.awrite(following._sign)
        copy(network, "a/node.db", "backup.db")
        if signed:  # and another was sent in its place
            id = read_statement(entry.statement).id
            await following.database.awrite(lambda c: following._outbox.refused(c, id, final=False))
        following.said()
        network.start("hub")
        await network.until(lambda: quiet(network))
        before = leaves(network, "hub")
        await restore(network)
        assert network.rows("a", "select * from outbox")
        await start(network)
        await network.until(lambda: quiet(network))
        assert leaves(network, "hub") == before
        await write(network, "a", "after")

    play(story)


def test_nothing_is_begun_before(play, monkeypatch):
    """A task that it has done since, and whose output has left, must not be run a second time."""
    begun = asyncio.Event()

    async def run(self: Scheduler) -> None:
        begun.set()

    async def story(network):
        await write(network, "a", "before")
        await network.stop("hub", "a")
        monkeypatch.setattr(Scheduler, "run", run)
        await start(network)
        await network.until(lambda: network.parts["a"].following.trouble)
        assert not begun.is_set()
        network.start("hub")
        await asyncio.wait_for(begun.wait(), 30)

    play(story)
