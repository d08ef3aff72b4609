"""Open pages are told when something has happened, no oftener than a node can bear, and only while a session lasts."""

from __future__ import annotations

import asyncio

import pytest

from comity.faces.web.live import EACH, PACE, Streams, events, state_of
from comity.node.rest.render import View
from comity.values.errors import Unauthenticated


def run(work):
    return asyncio.run(asyncio.wait_for(work, 20))


def test_a_page_is_told_when_its_state_is_another_and_not_else():
    async def story():
        changed, states = asyncio.Event(), iter([1, 1, 2])

        async def state():
            return next(states)

        stream = events(Streams(), changed, state)
        assert (await anext(stream)).startswith("retry:")
        waiting = asyncio.ensure_future(anext(stream))
        changed.set()
        while changed.is_set():
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        changed.set()
        assert await waiting == "event: changed\ndata:\n\n"
        await stream.aclose()

    run(story())


def test_a_stream_ends_with_its_session():
    async def story():
        changed, known = asyncio.Event(), [1]

        async def state():
            if not known:
                raise Unauthenticated("gone")
            return known.pop()

        stream = events(Streams(), changed, state)
        await anext(stream)
        changed.set()
        with pytest.raises(Unauthenticated):
            await anext(stream)

    run(story())


def test_many_pages_are_told_less_often():
    streams = Streams()
    assert streams.pace == PACE
    many = [streams.counted() for _ in range(200)]
    for each in many:
        each.__enter__()
    assert streams.pace == 200 * EACH
    for each in many:
        each.__exit__(None, None, None)
    assert streams.pace == PACE


def test_the_state_of_a_plan_follows_its_tasks_and_no_other(pages):
    network = pages.network
    function, plan, other = network.function()["key"], network.plan()["key"], network.plan()["key"]
    network.build(function)
    here, there = network.task(plan, function), network.task(other, function)
    network.add(here)
    network.add(there)

    def state(of):
        part = network.places["a"].part()
        work = part.following.read(lambda log: state_of(View(log, "a", base="", now=0, names=lambda _: {}), of))
        return network.loop.run_until_complete(work)

    plan_before, whole_before = state(plan), state("")
    network.run(there["key"])
    assert state(plan) == plan_before
    assert state("") != whole_before
    network.run(here["key"])
    assert state(plan) != plan_before
