"""Turns are never more than there are, go round between plans, and are lost by nobody who is cancelled."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from comity.adapters.execution import turns as module
from comity.adapters.execution.turns import Turns


def order(size, plans, *, cancelled=frozenset()):
    """In which order jobs of these plans get their turns when all want one at once and each ends in its turn."""

    async def run():
        turns, at_once, got = Turns(size), 0, []

        async def job(number, plan):
            nonlocal at_once
            async with turns.turn(plan):
                at_once += 1
                assert at_once <= size
                got.append(number)
                try:
                    await asyncio.sleep(0)
                finally:
                    at_once -= 1

        jobs = [asyncio.create_task(job(number, plan)) for number, plan in enumerate(plans)]
        await asyncio.sleep(0)
        for number in cancelled:
            jobs[number].cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        assert (turns._free, not turns._taken, not turns._waiting) == (size, True, True)
        return got

    return asyncio.run(run())


def test_plans_take_turns_and_within_a_plan_who_came_first_goes_first():
    assert order(1, "aaaabbc") == [0, 1, 4, 6, 2, 5, 3]


def test_a_plan_whose_tasks_never_end_holds_up_no_other(monkeypatch):
    """Its tasks have taken all turns: another plan is given one of its own, and keeps it while it has tasks."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)

    async def run():
        turns, ended = Turns(2), []

        async def endless():
            async with turns.turn("long"):
                await asyncio.Event().wait()

        async def short(number):
            async with turns.turn("short"):
                await asyncio.sleep(0)
                ended.append((number, turns._free))

        others = [asyncio.create_task(endless()) for _ in range(4)]
        await asyncio.sleep(0)
        await asyncio.gather(*(short(number) for number in range(2)))
        monkeypatch.setattr(module, "PATIENCE", 1000)
        await short(2)
        assert (turns._free, turns._taken["long"]) == (0, 2)
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        assert (turns._free, turns._waiting) == (2, {})
        return ended

    assert asyncio.run(run()) == [(0, -1), (1, -1), (2, -1)]


def test_there_are_more_only_where_none_is_given_back_and_never_twice_as_many(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)

    async def most(seconds):
        turns, at_once, seen = Turns(2), 0, 0

        async def job(plan):
            nonlocal at_once, seen
            async with turns.turn(plan):
                at_once += 1
                seen = max(seen, at_once)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    at_once -= 1

        jobs = [asyncio.create_task(job(str(plan))) for plan in range(30)]
        await asyncio.wait(jobs, timeout=0.5)
        for each in jobs:
            each.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        assert turns._free == 2
        return seen

    assert asyncio.run(most(0.01)) == 2
    assert asyncio.run(most(1000)) == 4


@given(st.integers(1, 4), st.lists(st.sampled_from("abc"), max_size=12), st.data())
def test_whoever_is_not_cancelled_gets_a_turn(size, plans, data):
    cancelled = data.draw(st.sets(st.integers(0, len(plans) - 1)) if plans else st.just(set()))
    got = order(size, plans, cancelled=cancelled)
    assert set(got) >= set(range(len(plans))) - cancelled
    assert len(got) == len(set(got))
