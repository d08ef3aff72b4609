"""Who has nothing to do because of an entry hears of it a moment later, and everybody hears of it."""

import asyncio

import pytest
from msgspec.structs import replace

from comity.domain.entry import canonical, sign
from comity.domain.events import (
    FunctionApproved,
    FunctionBuilding,
    FunctionInput,
    FunctionOutput,
    FunctionReady,
    FunctionRegistered,
    OutputMade,
    PlanRegistered,
    Renamed,
    TaskAdded,
    TaskDone,
    TaskInput,
    TaskOutput,
    TaskStarted,
    texts_of,
)
from comity.domain.words import Permission, written
from comity.hub import news
from comity.values.digest import digest

BLOB = digest(b"an archive")
TEXTS = written("a name", bytes(16))[1]
PUBLIC = Permission(public=True)


@pytest.fixture
def first(network):
    """A task of b's in a plan of a's, of which c's task takes the output; d only keeps the log."""
    network.join("main", "d")
    f, plan = network.key("f"), network.key("plan")
    inputs = {"models": FunctionInput(kind="ASSET_MODEL", multiple=True, optional=True)}
    made = FunctionRegistered(
        key=f,
        name=network.NAME,
        archive=BLOB,
        description=BLOB,
        inputs=inputs,
        outputs={"model": FunctionOutput(kind="ASSET_MODEL")},
        permission=PUBLIC,
    )
    network.say("b", made)
    for author in "acd":
        network.say(author, FunctionApproved(archive=BLOB, by="u"))
    network.say("b", FunctionBuilding(key=f))
    network.say("b", FunctionReady(key=f, durations={}))
    network.say("a", PlanRegistered(key=plan, name=network.NAME))
    outputs = {"model": TaskOutput(permission=PUBLIC)}
    added = TaskAdded(key=network.key("first"), plan=plan, function=f, worker="b", outputs=outputs)
    given = (TaskInput(identifier="models", parent=added.key, output="model"),)
    network.say("a", added, replace(added, key=network.key("then"), worker="c", inputs=given))
    return added


def told(network, author, *events):
    """Who is told at once of what the author says; the others are, a moment later."""
    ordering, number = network.hub.ordering, network.channels["main"].number
    texts = TEXTS if any(network.NAME in texts_of(event) for event in events) else {}
    entry = sign(network.statement(author, *events), network.identity(author), texts)

    async def story():
        waiting = {each: ordering.growing(number, each) for each in "abcd"}
        answer = await network.ask(network.link(author), "POST", "/entries", canonical([entry]))
        assert "place" in answer.json[0], answer.content
        soon = "".join(each for each, event in waiting.items() if event.is_set())
        await asyncio.wait_for(asyncio.gather(*(each.wait() for each in waiting.values())), 30)
        return soon

    return network.run(story())


def test_those_hear_at_once_who_have_something_to_do(network, first):
    assert told(network, "b", TaskStarted(key=first.key, attempt=1)) == "ab"
    made = OutputMade(key=network.key("model"), blob=digest(b"x"), size=1)
    assert told(network, "b", TaskDone(key=first.key, outputs={"model": made})) == "abc"


def test_who_has_a_task_that_is_ready_hears_at_once(network, first):
    ready = replace(first, key=network.key("ready"), worker="d")
    waits = (TaskInput(identifier="models", parent=first.key, output="model"),)
    assert told(network, "a", ready) == "ad"
    assert told(network, "a", replace(ready, key=network.key("later"), inputs=waits)) == "a"


def test_of_anything_else_all_hear_at_once(network, first):
    renamed = Renamed(kind="plan", key=first.plan, name=network.NAME)
    assert told(network, "a", renamed) == "abcd"
    assert told(network, "a", renamed, replace(first, key=network.key("another"))) == "abcd"


@pytest.mark.parametrize(("who", "linger", "wait"), [("b", 60.0, 20_000), ("d", 60.0, 0), ("d", 0.01, 20_000)])
def test_who_asks_afterwards_is_told_too(network, first, monkeypatch, who, linger, wait):
    start = network.log(lambda log: log.size)
    assert told(network, "b", TaskStarted(key=first.key, attempt=1)) == "ab"
    monkeypatch.setattr(news, "LINGER", linger)
    asked = network.ask(network.link(who), "GET", f"/news?from={start}&wait={wait}")
    assert len(network.run(asyncio.wait_for(asked, 10)).json["deliveries"]) == 1
