"""Masked sums between nodes: what comes out, who may be lost and when, and what is left of them."""

import asyncio
import errno

import numpy as np
import pytest

from comity.domain.events import OrganizationRemoved
from comity.domain.records import MaskedSum
from comity.node.sums import kept, making
from comity.values import codec
from comity.values.digest import Digest
from comity.values.errors import Unavailable


def run(story):
    return asyncio.run(asyncio.wait_for(story, 60))


def total(parties):
    """The file that came out, as the sum's task will leave it."""
    following = parties.exchange["z"].following
    with following.database.read() as connection:
        blob = kept.total_of(connection, 1, parties.made.key("sum", 1))
    return codec.decode(b"".join(parties.exchange["z"].blobs.open(Digest(blob))))


def included(parties, event):
    names = {parties.made.key("local", 1, site): site for site in parties.made.growth.sites}
    return "".join(names[key] for key in event.included)


async def phase(parties, wanted):
    """Return once the aggregator is there."""
    while [each.state.phase for each in parties.mail["z"].made._live.values()] != [wanted]:
        await asyncio.sleep(0.01)


async def given(parties, sites):
    """Return once these sites' inputs are here; then the deadline is over, and with it what is waited for."""
    while "".join(sorted(live_of(parties).state.inputs)) != sites:
        await asyncio.sleep(0.01)
    parties.mail["z"].made._clock = lambda: 10**15
    parties.exchange["z"].following.watchers.wake()


def live_of(parties):
    """The sum as the aggregator's process knows it."""
    return next(iter(parties.mail["z"].made._live.values()))


async def begun(parties):
    """Return once every site waits for its own training."""
    await phase(parties, "masking")


def test_what_comes_out_is_the_sum_and_nothing_else_is_left(parties, contribution):
    async def story():
        made = parties()
        made.start()
        await begun(made)
        for number, site in enumerate("abcd"):
            made.trains(site, contribution(number + 0.5))
        made.tell()
        event = await made.closed()
        assert included(made, event) == "abcd"
        came = total(made)
        np.testing.assert_allclose(came["total"]["w"], np.full(5, 8.0), atol=1e-9)
        assert came["weight"] == 8
        assert set(came) == {"total", "weight"}
        made.tell()
        while any(left(made, name) for name in "abcdz"):
            await asyncio.sleep(0.01)
        assert len([*made.exchange["z"].blobs.digests()]) == 1  # the total
        assert [len([*made.exchange[site].blobs.digests()]) for site in "abcd"] == [1] * 4  # what it trained
        await made.close()

    run(story())


def left(made, name):
    """Whether secrets, or inputs, of the sum are left at a party."""
    following, key = made.exchange[name].following, made.made.key("sum", 1)
    with following.database.read() as connection:
        return kept.get_site(connection, 1, key) or kept.get_making(connection, 1, key)


@pytest.mark.parametrize("victim", ["z", "b"])
@pytest.mark.parametrize("at", ["advertising", "masking", "agreeing"])
def test_who_dies_says_the_same_again(parties, contribution, monkeypatch, victim, at):
    monkeypatch.setattr(making, "PATIENCE", 0.1)

    async def story():
        made = parties()
        if at == "advertising":
            made.away = {"d"}  # so that nothing goes on meanwhile
        made.start()
        if at == "advertising":
            await phase(made, "advertising")
        else:
            await begun(made)
        if at == "agreeing":
            made.away = {"d"}
            for site in "abc":
                made.trains(site, contribution(1.0))
            made.tell()
        await made.kill(victim)
        made.start(victim)
        made.away = set()
        if at == "advertising":
            await made.kill("d")
            made.start("d")
            await begun(made)
        for site in "d" if at == "agreeing" else "abcd":
            made.trains(site, contribution(1.0))
        made.tell()
        event = await made.closed()
        assert included(made, event) == "abcd"
        np.testing.assert_allclose(total(made)["total"]["w"], np.full(5, 4.0), atol=1e-9)
        await made.close()

    run(story())


def test_a_site_that_has_left_is_done_without_and_kills_nobody(parties, contribution, monkeypatch):
    monkeypatch.setattr(making, "PATIENCE", 0.1)

    async def story():
        made = parties()
        made.start()
        await begun(made)
        made.away = {"d"}
        for site in "abcd":
            made.trains(site, contribution(1.0))
        made.made.log.write("a", OrganizationRemoved(organization="d"))
        made.tell()
        assert included(made, await made.closed()) == "abc"
        assert not any(task.done() for task in made.running.values())
        await made.close()

    run(story())


@pytest.mark.parametrize(
    "odd",
    [
        {"total": {"w": np.ones(5, np.float32)}},
        {"total": {"w": np.ones(5, np.float32)}, "weight": np.asarray(0.5)},
        {"total": {"w": np.ones(5, np.float32)}, "weight": np.ones(2)},
        {"total": {"w": np.ones(5, np.float32)}, "weight": np.asarray(1000.0)},
        {"weight": np.asarray(1.0)},
        b"",
        b"no tree",
    ],
)
def test_what_cannot_be_summed_is_left_out_and_kills_nobody(parties, contribution, monkeypatch, odd):
    monkeypatch.setattr(making, "ANSWER", 0.1)

    async def story():
        made = parties()
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, odd if site == "d" else contribution(1.0))
        made.tell()
        await given(made, "abc")
        assert included(made, await made.closed()) == "abc"
        assert not any(task.done() for task in made.running.values())
        await made.close()

    run(story())


def test_an_input_that_a_policy_refuses_in_the_end_does_not_leave(parties, contribution, monkeypatch):
    monkeypatch.setattr(making, "ANSWER", 0.1)

    async def story():
        made = parties()
        made.start()
        await begun(made)
        made.refusing = {"d"}
        for site in "abcd":
            made.trains(site, contribution(1.0))
        made.tell()
        await given(made, "abc")
        assert included(made, await made.closed()) == "abc"
        await made.close()

    run(story())


def test_a_sum_that_too_few_give_to_is_given_up_with_a_reason(parties, contribution, monkeypatch):
    monkeypatch.setattr(making, "ANSWER", 0.1)

    async def story():
        made = parties()
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, contribution(1.0) if site in "ab" else b"")
        made.tell()
        await given(made, "ab")
        event = await made.closed()
        assert (event.included, event.root) == ((), "")
        assert event.reason
        assert made.made.log.get(MaskedSum, made.made.key("sum", 1)).status == "closed"
        await made.close()

    run(story())


def test_a_disk_that_was_full_for_a_moment_costs_a_restart_and_no_more(parties, contribution, monkeypatch):
    def full(*given):
        raise Unavailable("the disk has no room left")

    async def story():
        made = parties()
        with monkeypatch.context() as patch:
            patch.setattr(kept, "put_site", full)
            made.start("d")
            with pytest.raises((Unavailable, ExceptionGroup)):
                await made.running.pop("d")
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, contribution(1.0))
        with monkeypatch.context() as patch:
            patch.setattr(making, "came_out", lambda *given: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no room")))
            made.tell()
            with pytest.raises(ExceptionGroup):
                await made.running.pop("z")
        made.start("z")
        assert included(made, await made.closed()) == "abcd"
        await made.close()

    run(story())


def test_an_input_of_more_numbers_than_can_be_in_it_is_not_fetched(parties, contribution):
    async def story():
        made = parties()
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, contribution(1.0, count=5 if site != "d" else 900))
        live = live_of(made)
        made.tell()
        assert included(made, await made.closed()) == "abc"  # the form that most have
        with pytest.raises(Exception, match="gives 100000 numbers of a contribution of"):
            await made.mail["z"].made._fits(live, "a", 100_000)
        await made.close()

    run(story())
