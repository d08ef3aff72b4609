"""Open pages are told when something has happened, no oftener than a node can bear, and only while a session lasts.

What they then ask for is made once for all who are told and see the same.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing

import pytest
from tests.unit.node.rest.test_rounds import Experiment, ground

from comity.domain.events import FunctionBuilding, FunctionReady
from comity.faces.web.frame import Frame
from comity.faces.web.live import EACH, PACE, Feed, state_of
from comity.faces.web.rendering import Rendering
from comity.faces.web.routes import ROUTES
from comity.faces.web.sharing import Shared
from comity.node.accounts.roles import Role
from comity.node.watchers import Watchers
from comity.values.errors import Unauthenticated


class Log:
    """What a feed reads of a log."""

    def __init__(self):
        self.size = 0


class Following:
    """A log that grows when a test says so."""

    def __init__(self):
        self.log, self.watchers, self.readings = Log(), Watchers(), 0
        self.connected, self.broken = True, ""

    def watch(self):
        return self.watchers.add(())

    def unwatch(self, watcher):
        self.watchers.remove(watcher)

    async def read(self, work):
        self.readings += 1
        return work(self.log)

    def grow(self):
        self.log.size += 1
        self.watchers.wake()


async def still():
    return None


def run(work):
    return asyncio.run(asyncio.wait_for(work, 20))


async def nobody(following):
    """Return once nobody waits for the log to grow."""
    while len(following.watchers):
        await asyncio.sleep(0)


async def told(stream):
    """Begin to wait for the next word."""
    waiting = asyncio.ensure_future(anext(stream))
    for _ in range(10):
        await asyncio.sleep(0)
    return waiting


def test_all_pages_are_told_in_one_moment_when_their_state_is_another_and_not_else():
    async def story():
        following = Following()
        feed = Feed(following, pace=0, each=0)
        streams = [feed.words("", 0, still) for _ in range(50)]
        for each in streams:
            assert await anext(each) == "retry: 3000\n\n"
        waiting = [await told(each) for each in streams]
        following.watchers.wake()  # the hub has come back, say
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        before = following.readings
        following.grow()
        assert set(await asyncio.gather(*waiting)) == {f"event: changed\ndata: {feed.word}\n\n"}
        assert following.readings == before + 1
        for each in streams:
            await each.aclose()
        await nobody(following)

    run(story())


def test_a_page_that_was_made_of_less_is_told_at_once():
    async def story():
        following = Following()
        following.log.size = 7
        feed = Feed(following, pace=0, each=0)
        async with aclosing(feed.words("", 6, still)) as late, aclosing(feed.words("", 7, still)) as up_to_date:
            await anext(late)
            assert await anext(late) == f"event: changed\ndata: {feed.word + 1}\n\n"
            await anext(up_to_date)
            waiting = await told(up_to_date)
            assert not waiting.done()
            following.grow()
            assert await waiting == f"event: changed\ndata: {feed.word}\n\n"

    run(story())


def test_pages_are_told_that_the_hub_has_gone_and_that_time_has_passed():
    async def story():
        following = Following()
        feed = Feed(following, pace=0, each=0)
        async with aclosing(feed.words("", 0, still)) as stream:
            await anext(stream)
            waiting = await told(stream)
            following.connected = False
            following.watchers.wake()
            assert (await waiting).startswith("event: changed")
        old = Feed(following, pace=0, each=0, again=0)
        async with aclosing(old.words("", 0, still)) as stream:
            await anext(stream)
            assert (await anext(stream)).startswith("event: changed")

    run(story())


def test_a_stream_ends_with_its_session():
    async def story():
        following, known = Following(), [True]

        async def session():
            if not known:
                raise Unauthenticated("gone")

        feed = Feed(following, pace=0, each=0, beat=0)
        stream = feed.words("", 0, session)
        await anext(stream)
        assert await anext(stream) == ": still here\n\n"
        known.clear()
        with pytest.raises(Unauthenticated):
            await anext(stream)
        await nobody(following)

    run(story())


def test_when_nothing_can_be_read_streams_end_and_browsers_ask_for_others():
    async def story():
        following = Following()
        feed = Feed(following, pace=0, each=0)
        stream = feed.words("", 0, still)
        await anext(stream)
        waiting = await told(stream)

        async def broken(work):
            raise OSError("no disk")

        following.read = broken
        following.grow()
        assert (await waiting).startswith("event: changed")
        assert [each async for each in stream] == []

    run(story())


def test_many_pages_are_told_less_often():
    async def story():
        feed = Feed(Following())
        assert feed.pace == PACE
        many = [feed.words("", 0, still) for _ in range(200)]
        for each in many:
            await anext(each)
        assert feed.pace == 200 * EACH
        for each in many:
            await each.aclose()
        assert feed.pace == PACE

    run(story())


def test_what_is_asked_for_after_a_word_is_made_once():
    async def story():
        shared, made = Shared(), list[int]()

        async def make():
            made.append(len(made))
            await asyncio.sleep(0)
            return b"%d" % made[-1]

        async def give(asked, now, key="a"):
            return await shared.give(key, make, asked=asked, now=now)

        assert await asyncio.gather(*(give(1, 1) for _ in range(100))) == [b"0"] * 100
        assert await give(1, 1) == b"0"
        assert await give(2, 1) == b"1"  # a word that is about to be said
        assert await give(2, 2) == b"2"
        assert await give(1, 2) == b"2"  # who comes late gets what is newer
        assert await give(2, 2, "b") == b"3"

    run(story())


def test_what_could_not_be_made_is_made_again():
    async def story():
        shared, answers = Shared(), iter([Unauthenticated("no"), None])

        async def make():
            if (error := next(answers)) is not None:
                raise error
            return b"yes"

        with pytest.raises(Unauthenticated):
            await shared.give("a", make, asked=1, now=1)
        assert await shared.give("a", make, asked=1, now=1) == b"yes"

    run(story())


def test_the_state_of_a_plan_follows_its_tasks_and_no_other(pages):
    network = pages.network
    function, plan, other = network.function()["key"], network.plan()["key"], network.plan()["key"]
    network.build(function)
    here, there = network.task(plan, function), network.task(other, function)
    network.add(here)
    network.add(there)

    def state(of):
        part = network.places["a"].part()
        return network.loop.run_until_complete(part.following.read(lambda log: state_of(log, of)))

    plan_before = state(plan)
    network.run(there["key"])
    assert state(plan) == plan_before
    network.run(here["key"])
    assert state(plan) != plan_before


def test_live_parts_are_those_of_the_page_and_hold_nothing_of_the_session(steady_pages):
    network = steady_pages.network
    experiment = Experiment(network, *ground(network))
    browser, steward = steady_pages.browser(), steady_pages.browser("a", Role.STEWARD)
    keys = {"compute_plans": experiment.plan, "tasks": experiment.key("init", 0)}
    for route in (each for each in ROUTES if each.live):
        target = route.path.replace("{key}", keys.get(route.path.split("/")[1], ""))
        page = browser.text(target)
        reply = browser.get(target, **{"comity-live": "1"})
        parts = reply.body.decode()
        assert (reply.status, reply.headers["cache-control"]) == (200, "no-store"), target
        assert "csrf" not in parts
        assert '<nav class="side"' not in parts
        live = {given["id"] for _, given in steady_pages.Checked(page).tags if "data-live" in given} - {"actions"}
        assert live
        assert live == {given["id"] for _, given in steady_pages.Checked(parts).tags if "data-live" in given}, target
    assert browser.get("/settings", **{"comity-live": "1"}).body.startswith(b"<!doctype html>")
    assert steady_pages.stranger().get("/compute_plans", **{"comity-live": "1"}).status == 303
    browser.submit(f"/compute_plans/{experiment.plan}/favourite")
    other = another_admin(steady_pages)
    for each, there in ((browser, True), (other, False), (steward, False)):
        parts = each.get("/compute_plans?tag=", **{"comity-live": "0"}).body.decode()
        assert ('title="Favourite"' in parts) == there, "each sees the own favourites"


def another_admin(pages):
    """One who has the rights of the first and is not the first."""
    reply = pages.browser().submit("/manage_users", {"username": "ada", "role": "admin"})
    password = re.search(r"log in with the password: .*?<code>([^<]+)</code>", reply.body.decode(), re.DOTALL)
    made = pages.stranger()
    assert made.log_in("ada", password[1]).status == 303
    return made


def test_live_parts_are_shared_by_those_with_the_same_rights_alone(pages):
    network, word = pages.network, {"comity-live": "0"}
    theirs = network.function("b")["key"]
    network.write("b", FunctionBuilding(key=theirs), FunctionReady(key=theirs))
    readers = [pages.browser("a", role) for role in (Role.STEWARD, Role.AUDITOR, Role.STEWARD)]
    shown = [each.get("/", **word).body for each in readers]
    assert [b"Waits for you" in each for each in shown] == [True, False, True]
    network.plan(name="another")
    assert [each.get("/", **word).body for each in readers] == shown, "nothing was said, and nothing is made anew"
    assert b"another" in readers[0].get("/", **{"comity-live": "1"}).body


def test_what_is_shared_is_made_for_nobody_in_particular(steady_pages, monkeypatch):
    browser, frames = steady_pages.browser(), list[Frame]()
    page = Rendering.page

    def seen(self, template, frame, *given, **more):
        frames.append(frame)
        return page(self, template, frame, *given, **more)

    monkeypatch.setattr(Rendering, "page", seen)
    for headers in ({}, {"comity-live": "0"}):
        assert browser.get("/tasks?worker=a", **headers).status == 200
    own, shared = frames
    assert own.csrf
    assert own.user == "admin-main"
    assert (shared.csrf, shared.user, shared.role, shared.theme) == ("", "", "", "auto")
