"""Noise that sites add to their own parts of a masked sum, between nodes: enough whoever falls out, and never none."""

import asyncio
from math import sqrt

import numpy as np
import pytest
from tests.unit.domain.conftest import Grown
from tests.unit.node.sums.conftest import Parties
from tests.unit.node.sums.test_sums import begun, given, included, run, total

from comity.domain.events import Masking, SiteNoise
from comity.domain.records import MaskedSum
from comity.node.sums import making
from comity.node.sums.terms import masked

COUNT = 8_000
SIGMA = 0.05
NOISE = SiteNoise(multiplier="0.5", delta="0.001", clip="0.1")


@pytest.fixture(autouse=True)
def nobody_is_waited_for(monkeypatch):
    monkeypatch.setattr(making, "ANSWER", 0.1)


def masking(**changes):
    return Masking(clip="8.0", max_weight=100, metric_limit="8.0", noise=SiteNoise(**{**asdict(NOISE), **changes}))


def asdict(noise):
    return {name: getattr(noise, name) for name in noise.__struct_fields__}


def part(contribution, value=0.0, **more):
    return {**contribution(value, COUNT, weight=1.0), **more}


def summed(parties, contribution, sites="abcd", **growth):
    """(who is in it, the sum) of nothing but noise, of these of four sites."""

    async def story():
        made = parties(masking=masking(), **growth)
        made.start()
        await begun(made)
        for site in sites:
            made.trains(site, part(contribution))
        made.tell()
        if len(sites) < 4:
            await given(made, sites)
        event = await made.closed()
        came = included(made, event), total(made)
        await made.close()
        return came

    return asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize(("sites", "share"), [("abcd", 4 / 3), ("abc", 1.0)], ids=["all four", "one fell out"])
def test_the_noise_on_a_sum_is_the_target_whoever_falls_out(parties, contribution, sites, share):
    """σ²/3 at each, since three of four remain for sure: 4/3 σ² of all four, and σ² when one has fallen out."""
    came, held = summed(parties, contribution, sites)
    assert came == sites
    assert held["weight"] == len(sites)
    noise = held["total"]["w"]
    assert noise.var() == pytest.approx(share * SIGMA**2, rel=5 * sqrt(2 / COUNT))
    assert abs(noise.mean()) < 5 * SIGMA * sqrt(share / COUNT)


@pytest.mark.parametrize(("sites", "shares"), [("abcd", 3), ("abcdz", 3), ("abcde", 4)])
def test_the_aggregators_own_site_counts_for_nothing(sites, shares):
    """Its organization knows the noise that it adds."""
    made = Grown(
        *dict.fromkeys("abcdez"), sites=sites, aggregator="z", quorum="1", masking=masking(colluding=0)
    ).begin()
    record = made.log.get(MaskedSum, made.key("sum", 1))
    noise = masked(made.log.records, record).scale_of(10).noise
    assert noise is not None
    assert (noise.shares, noise.deviation) == (shares, SIGMA)


def test_it_is_drawn_anew_in_every_sum_and_by_no_seed(tmp_path, contribution):
    """The same plan, the same task, the same keys: whoever knows all that is in the log does not know the noise."""
    sums = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        _, held = summed(lambda to=folder, **growth: four(to, **growth), contribution)
        sums.append(held["total"]["w"])
    assert abs(np.corrcoef(sums)[0, 1]) < 5 / sqrt(COUNT)


def four(folder, **growth):
    grown = Grown(*"abcdz", sites="abcd", aggregator="z", quorum="1", **growth)
    return Parties(grown.begin(), folder)


def test_a_node_holds_its_site_to_the_clip_whatever_its_task_has_left(parties, contribution):
    async def story():
        made = parties(masking=masking(multiplier="0.0001"))
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, part(contribution, 100.0))
        made.tell()
        await made.closed()
        norm = np.linalg.norm(total(made)["total"]["w"])
        assert norm == pytest.approx(4 * 0.1, rel=1e-2)
        await made.close()

    run(story())


@pytest.mark.parametrize(
    "odd",
    [
        {"weight": np.asarray(2.0)},  # as if it were two sites
        {"weight": np.asarray(0.0)},  # as if it were none, which the sum would tell
        {"total": {"w": np.zeros(COUNT, np.float32), "n": np.arange(3)}},  # whole numbers, which nothing noises
    ],
)
def test_a_part_that_would_tell_more_is_not_given(parties, contribution, odd):
    async def story():
        made = parties(masking=masking())
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, part(contribution, **(odd if site == "d" else {})))
        made.tell()
        await given(made, "abc")
        assert included(made, await made.closed()) == "abc"
        await made.close()

    run(story())
