"""Runs stay within their limits, and end with those who wait for them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.unit.faces.playground.conftest import Alone

from comity.faces.playground.limits import Limits
from comity.faces.playground.query import settings_from
from comity.faces.playground.results import Results
from comity.faces.playground.running import Runs
from comity.faces.playground.work import Asked, Done, Failed, Point, perform
from comity.faces.playground.workers import Workers
from comity.values.errors import InvalidInput, Unavailable

QUICK, LONG = "data=breast_cancer&rounds=2", "data=heart&rounds=50&a.rows=150&b.rows=150&a.positive=0.5&b.positive=0.5"


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def none_left(workers: Workers) -> None:
    """Until the base process has no child: a killed one is gone at once, but not before it is waited for."""
    assert workers._base is not None
    while children(workers._base.pid):
        await asyncio.sleep(0.01)


def test_a_run_comes_to_what_the_engine_comes_to(alone: Alone) -> None:
    async def story() -> None:
        runs = Runs(alone.playground.workers, Limits())
        settings, seen = settings_from(QUICK), list[Results]()
        async with runs.begin(settings, "a") as running:
            async for results in running.updates():
                seen.append(results)
        assert [each.complete for each in seen] == [False] * (len(seen) - 1) + [True]
        done = [each.rounds_done for each in seen]
        assert done == sorted(done)
        points: list[object] = []
        perform(Asked(QUICK, "Hospital B", 2, 60), points.append)
        scores = [each.scores for each in points if isinstance(each, Point)]
        assert list(seen[-1].scores["Hospital B", 2]) == scores

    alone.do(story())


def test_a_run_that_nobody_waits_for_is_killed(alone: Alone) -> None:
    async def story() -> None:
        workers = alone.playground.workers
        runs = Runs(workers, Limits())
        async with runs.begin(settings_from(LONG), "a") as running:
            async with aclosing(running.updates()) as updates:
                await anext(updates)
            assert workers._base is not None
            assert children(workers._base.pid)
        await none_left(workers)
        async with aclosing(workers.run(Asked(LONG, "federated", 0, 60))) as said:
            assert isinstance(await anext(said), Point)
        await none_left(workers)

    alone.do(story())


def test_runs_are_bounded_in_all_and_for_each_address(alone: Alone) -> None:
    async def story() -> None:
        runs = Runs(alone.playground.workers, Limits(runs=3, per_address=2))
        settings = settings_from(LONG)
        async with runs.begin(settings, "a"), runs.begin(settings, "a"):
            with pytest.raises(Unavailable, match="2 runs from your address are under way"):
                async with runs.begin(settings, "a"):
                    pass
            async with runs.begin(settings, "b"):
                with pytest.raises(Unavailable, match="3 runs are under way, which is the limit here"):
                    async with runs.begin(settings, "c"):
                        pass
            async with runs.begin(settings, "c"):
                pass
        async with runs.begin(settings_from(QUICK), "a") as running:
            assert [each async for each in running.updates()][-1].complete
        await none_left(alone.playground.workers)

    alone.do(story())


def test_no_more_than_some_train_at_once(alone: Alone) -> None:
    async def story() -> None:
        workers = alone.playground.workers
        most = 0
        async with Runs(workers, Limits()).begin(settings_from(LONG), "a") as running:
            async for results in running.updates():
                assert workers._base is not None
                most = max(most, len(children(workers._base.pid)))
                if results.rounds_done > 120:
                    break
        assert most == Limits().processes
        await none_left(workers)

    alone.do(story())


def test_runs_take_turns(alone: Alone) -> None:
    """Who comes second sees the first curve long before the first run has ended."""

    async def story() -> None:
        runs = Runs(alone.playground.workers, Limits())
        async with runs.begin(settings_from(LONG), "a") as first, runs.begin(settings_from(QUICK), "b") as second:
            updates = [(each, first.results.complete) async for each in second.updates()]
            assert updates[-1][0].complete
            assert not next(complete for each, complete in updates if each.rounds_done)
        await none_left(alone.playground.workers)

    alone.do(story())


def test_a_run_has_so_much_time(alone: Alone) -> None:
    async def story() -> None:
        runs = Runs(alone.playground.workers, Limits(seconds=1))

        async def too_long() -> None:
            async with runs.begin(settings_from("rounds=50"), "a") as running:
                async for _ in running.updates():
                    pass

        with pytest.raises(Unavailable, match="took longer than 1 s, which is its limit here"):
            await too_long()
        await none_left(alone.playground.workers)

    alone.do(story())


def test_a_part_has_so_much_cpu_time(alone: Alone) -> None:
    async def story() -> None:
        with pytest.raises(Unavailable, match="the process that trained was ended; try again, with fewer rounds"):
            async for _ in alone.playground.workers.run(Asked("rounds=50", "pooled", 0, 1)):
                pass

    alone.do(story())


def test_what_a_run_cannot_do_is_said(alone: Alone) -> None:
    async def story() -> None:
        said = [each async for each in alone.playground.workers.run(Asked("rounds=99", "pooled", 0, 9))]
        assert said == [Failed("the number of rounds must be from 1 to 50, not 99")]

    alone.do(story())


def test_a_base_process_that_dies_is_started_again(alone: Alone) -> None:
    async def story() -> None:
        workers = alone.playground.workers
        assert workers._base is not None
        before = workers._base
        before.kill()
        await before.wait()
        said = [each async for each in workers.run(Asked(QUICK, "pooled", 0, 9))]
        assert isinstance(said[-1], Done)
        assert workers._base is not before

    alone.do(story())


def test_a_base_process_that_nobody_needs_ends_and_takes_its_folder_along() -> None:
    async def story() -> None:
        workers = Workers(1, idle=0.0)
        await workers.start()
        base, folder = workers._base, Path(workers._address).parent
        assert base is not None
        await asyncio.wait_for(base.wait(), 30)
        assert not folder.exists()
        await workers.stop()

    asyncio.run(story())


@pytest.mark.parametrize("name", ["processes", "runs", "per_address", "seconds"])
def test_limits_are_whole_numbers(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be a whole number of at least 1, not 0"):
        Limits(**{name: 0})  # pyright: ignore[reportArgumentType]
