"""A hub that was put back to an older copy of its folder is given back what it lost, and nothing forks."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import uuid
from typing import Any

import pytest

from comity.domain.events import PlanRegistered
from comity.domain.records import Plan
from comity.domain.words import written
from comity.values.errors import Unavailable


def key(word: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, word))


async def write(network: Any, who: str, word: str) -> None:
    """A plan of an organization's, once its own node has it."""
    name, texts = written(word, bytes(16))
    await network.parts[who].following.insist([PlanRegistered(key=key(word), name=name)], texts)


def leaves(network: Any, who: str) -> list[Any]:
    return network.rows(who, "select leaf from leaves order by place")


def forget_log(network: Any, who: str) -> None:
    """A node that follows from the beginning again."""
    with sqlite3.connect(network.folder / who / "node.db") as connection:
        for (name,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            if name.endswith("_records") or name in ("leaves", "hashes", "texts", "checkpoints"):
                connection.execute(f"delete from {name}")


def same(network: Any) -> bool:
    return leaves(network, "hub") == leaves(network, "a") == leaves(network, "b")


async def old_copy(network: Any) -> list[Any]:
    """The hub is stopped, with a copy in its place that lacks the last entries, which both nodes have."""
    await write(network, "a", "before")
    await write(network, "b", "too")
    network.backup()
    for word in ("one", "two", "three"):
        await write(network, "a", word)
    await network.until(lambda: same(network))
    whole = leaves(network, "a")
    await network.stop("hub")
    network.restore()
    assert len(leaves(network, "hub")) == len(whole) - 3
    return whole


def test_what_was_lost_comes_back_and_nothing_is_ordered_before(play):
    async def story(network):
        whole = await old_copy(network)
        writing = asyncio.ensure_future(write(network, "b", "afterwards"))
        network.start("hub")
        await writing
        await network.until(lambda: same(network))
        assert leaves(network, "hub")[: len(whole)] == whole
        assert network.log("hub", lambda log: log.records.get(Plan, key("afterwards")))

    play(story)


def test_writes_wait_until_every_member_was_heard(play):
    async def story(network):
        whole = await old_copy(network)
        await network.stop("a", "b")
        forget_log(network, "b")
        behind = leaves(network, "hub")
        network.start("hub", "b")  # b alone, which knows no more than the copy: nothing may be ordered yet
        await network.until(lambda: network.parts["b"].following.connected)
        writing = asyncio.ensure_future(write(network, "b", "early"))
        await network.until(lambda: network.rows("b", "select * from sending"))
        assert leaves(network, "hub") == behind
        network.start("a")
        await writing
        await network.until(lambda: same(network))
        assert leaves(network, "hub")[: len(whole)] == whole

    play(story)


def test_an_entry_that_only_its_author_and_the_lost_hub_knew_is_ordered_again(play):
    """The hub ordered it and died before anybody heard."""

    async def story(network):
        await write(network, "a", "before")
        await network.until(lambda: same(network))
        network.backup()
        network.faults = {("hub", "after Ordering.run was written")}
        writing = asyncio.ensure_future(write(network, "a", "lost"))
        await network.until(lambda: not network.faults)
        await network.stop("hub")
        network.restore()
        network.start("hub")
        await writing
        await network.until(lambda: same(network))
        assert network.log("hub", lambda log: log.records.get(Plan, key("lost")))

    play(story)


def test_a_hub_that_went_on_without_what_it_lost_is_named(play, monkeypatch):
    """Nobody was there to tell it in time: there are two histories now, and the nodes that have both say so."""
    monkeypatch.setattr("comity.hub.ordering.COMPARING", 0.0)

    async def story(network):
        whole = await old_copy(network)
        await network.stop("a", "b")
        forget_log(network, "b")
        network.start("hub", "b")
        await network.until(lambda: network.parts["b"].following.connected)
        await write(network, "b", "another history")
        network.start("a")
        await network.until(lambda: network.parts["a"].following.link.process is network.processes["a"])
        await network.until(lambda: network.parts["a"].following.broken)
        assert re.search("saw another log|two histories", network.parts["a"].following.broken)
        name, texts = written("more", bytes(16))
        with pytest.raises(Unavailable, match="stopped following"):
            await network.parts["a"].following.write([PlanRegistered(key=key("more"), name=name)], texts)
        assert leaves(network, "a") == whole  # nothing of the other history got in

    play(story)
